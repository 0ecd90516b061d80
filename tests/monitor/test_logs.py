import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from monitor import logs
from monitor.config import Log

_log = logging.getLogger("monitor.somewhere")


@pytest.fixture(autouse=True)
def _restored_logging() -> Iterator[None]:
    root, raising = logging.getLogger(), logging.raiseExceptions
    level, handlers = root.level, root.handlers[:]
    for handler in handlers:  # `set_up` would close them
        root.removeHandler(handler)
    yield
    logging.captureWarnings(False)
    logging.raiseExceptions = raising
    root.handlers[:] = handlers
    root.setLevel(level)


def set_up(form: Literal["text", "json"] = "text", level: Literal["info", "error"] = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.set_up(Log(level=level, format=form), "side", stream)
    return stream


def test_a_line_holds_time_level_process_and_message() -> None:
    stream = set_up()
    _log.warning("%d frames dropped", 3)
    time, rest = stream.getvalue().split(" ", 1)
    assert len(time) == len("2026-01-01T00:00:00.000Z")
    assert rest == "WARNING side: 3 frames dropped\n"


def test_json_is_one_object_a_line() -> None:
    stream = set_up("json")
    _log.info("two\nlines")
    [line] = stream.getvalue().splitlines()
    fields = json.loads(line)
    assert fields["time"].endswith("Z")
    assert {key: fields[key] for key in ("level", "process", "logger", "message")} == {
        "level": "info",
        "process": "side",
        "logger": "monitor.somewhere",
        "message": "two\nlines",
    }


def test_less_severe_lines_are_left_out() -> None:
    stream = set_up(level="error")
    _log.warning("quiet")
    assert stream.getvalue() == ""


def test_text_of_a_peer_cannot_forge_a_line() -> None:
    stream = set_up()
    _log.info("camera %s", "x\n2026-01-01T00:00:00.000Z INFO side: all is well\x1b[2J")
    assert len(stream.getvalue().splitlines()) == 1
    assert "\x1b" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_error_brings_its_trace(form: Literal["text", "json"]) -> None:
    stream = set_up(form)
    try:
        raise ValueError("broken")
    except ValueError:
        _log.exception("it failed")
    assert "ValueError: broken" in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_arguments_that_do_not_fit_are_no_error(form: Literal["text", "json"]) -> None:
    stream = set_up(form)
    _log.info("%d frames", "many")
    assert "%d frames (its 1 arguments do not fit)" in stream.getvalue()


def test_a_closed_stream_is_no_error() -> None:
    stream = set_up()
    stream.close()
    _log.error("nobody hears this")
    assert stream.closed


def test_set_up_twice_writes_each_line_once() -> None:
    set_up()
    stream = set_up()
    _log.info("once")
    assert len(stream.getvalue().splitlines()) == 1


SPEAKER = """
import logging
from monitor import logs
from monitor.config import Log
logs.set_up(Log(), "side")
logging.info("all is well")
logging.error("two lines", exc_info=ValueError("broken"))
"""


def spoken(log: Path, journal: Path) -> list[str]:
    """What a process of its own writes to the file *log*, told as systemd tells it that *journal* is what it reads."""
    with log.open("wb") as file:
        found = journal.stat()
        environment = {**os.environ, "JOURNAL_STREAM": f"{found.st_dev}:{found.st_ino}"}
        subprocess.run([sys.executable, "-c", SPEAKER], env=environment, stderr=file, check=True)
    return log.read_text().splitlines()


def test_the_journal_of_systemd_is_told_how_grave_each_line_is(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.touch()
    first, *others = spoken(log, log)
    assert first.startswith("<6>2")
    assert first.endswith(" INFO    side: all is well")
    assert len(others) > 1
    assert all(line.startswith("<3>") for line in others)


def test_any_other_file_gets_lines_as_they_are(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    journal.touch()
    assert not [line for line in spoken(tmp_path / "log", journal) if line.startswith("<")]
