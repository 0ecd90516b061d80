"""`framewatch bench` as a person runs it, with the real daemon."""

import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest
from cli_example import Desk
from daemon import PATIENCE_S
from frames import normal

from monitor.bench.report import Report
from monitor.bundle import Bundle

MARK = "FRAMEWATCH_TEST_RUN"
SHORT = ("--quick", "--no-busy", "--seconds", "0.2", "--batch", "8")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


def started(folder: Path, mark: str, *arguments: object) -> "subprocess.Popen[str]":
    scratch = folder / "scratch"
    scratch.mkdir()
    return subprocess.Popen(
        [sys.executable, "-m", "monitor.cli", "bench", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, MARK: mark, "TMPDIR": str(scratch)},
        start_new_session=True,
    )


def left_behind(mark: str) -> list[str]:
    """Processes that bear the mark of a run."""
    wanted, found = f"{MARK}={mark}".encode(), []
    for place in Path("/proc").iterdir():
        try:
            if place.name.isdecimal() and wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


def test_a_rate_is_measured_shown_and_written(small_bundle: Bundle, tmp_path: Path) -> None:
    bank, wrote, drawn = (tmp_path / name for name in ("frames.npy", "report.json", "report.svg"))
    np.save(bank, normal(60, 3))
    mark = uuid.uuid4().hex
    files = ("--json", wrote, "--picture", drawn)
    bench = started(tmp_path, mark, "--bundle", small_bundle.path, "--frames", bank, "--rate", "1500", *SHORT, *files)
    out, err = bench.communicate(timeout=4 * PATIENCE_S)
    report = msgspec.json.decode(wrote.read_bytes(), type=Report)
    (found,) = report.conditions
    assert bench.returncode == (0 if found.held_hz else 1), err
    assert (found.competing, found.searched) == (0, False)
    assert (report.frames.height, report.frames.frame_bytes) == (32, 1024)
    assert report.frames.multiply_adds > 0
    trial = found.trials[0]
    assert trial.judged == trial.frames == 300
    delays = found.delays
    assert delays is not None
    assert delays.rate_hz == 1500.0
    assert delays.received_to_judged is not None
    assert delays.sent_to_judged is not None
    assert delays.received_to_judged.count == delays.sent_to_judged.count == 300
    assert 0 < delays.received_to_judged.p50_ms < delays.sent_to_judged.p50_ms
    assert delays.sent_to_permit is not None
    assert delays.sent_to_permit.count == delays.dark_frames == 7
    assert delays.sent_to_permit.p50_ms > 0
    assert [row.batch for row in found.scoring] == [1, 8, 32] * 2
    assert [row.batch for row in found.naive] == [1, 8]
    assert found.resources.hot_mib > found.resources.side_mib > 0
    assert found.resources.recorder_mib > 0
    assert found.resources.start_s > 0
    assert "sent to permit false, alone" in out
    assert drawn.read_text().startswith("<svg")
    assert left_behind(mark) == []
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("number", "at", "options", "processes"),
    [
        (signal.SIGTERM, "naive loop", ("--quick", "--busy"), 2),  # the command and a competitor
        (signal.SIGINT, "searching", SHORT, 5),  # a camera and the daemon's three beside the command
    ],
)
def test_whoever_interrupts_it_leaves_no_process_behind(
    small_bundle: Bundle, tmp_path: Path, number: signal.Signals, at: str, options: tuple[str, ...], processes: int
) -> None:
    mark = uuid.uuid4().hex
    bench = started(tmp_path, mark, "--bundle", small_bundle.path, *options)
    assert bench.stderr is not None
    for line in bench.stderr:
        if at in line:
            break
    deadline = time.monotonic() + PATIENCE_S
    while len(left_behind(mark)) < processes:
        assert time.monotonic() < deadline, "they never came"
    bench.send_signal(number)
    _, err = bench.communicate(timeout=PATIENCE_S)
    assert bench.returncode == 130
    assert "Traceback" not in err
    assert err.endswith("framewatch: interrupted\n")
    assert left_behind(mark) == []
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--bundle", "none"], "none"),
        (["--bundle", "b", "--size", "64"], "leave them out with --bundle"),
        (["--bundle", "b", "--dtype", "uint16"], "leave them out with --bundle"),
        (["--frames", "x.npy"], "give --bundle too"),
        (["--size", "8"], "--size 8: a network sees frames of 16 to 576 px a side"),
        (["--size", "577"], "--size 577: "),
        (["--size", "big"], "'big' is no whole number"),
        (["--dtype", "int8"], "invalid choice: 'int8'"),
        (["--batch", "5000"], "--batch 5000: 4096 is the most"),
        (["--threads", "0"], "0 must be at least 1"),
        (["--max-wait-ms", "-1"], "-1 must not be below 0"),
        (["--max-wait-ms", "1e5"], "--max-wait-ms 100000: 1000 is the most"),
        (["--rate", "0"], "0 must lie between"),
        (["--seconds", "0"], "0 must be above 0"),
        (["--device", "gpu"], "'gpu' must be cpu, cuda or cuda:N"),
        (["--picture", "figure.png"], "--picture figure.png: must end in .svg"),
        (["--picture", "none/figure.svg"], "--picture none/figure.svg: is a folder, or stands in none"),
        (["--json", "none/report.json"], "--json none/report.json: is a folder, or stands in none"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_told_in_one_line(desk: Desk, arguments: list[str], says: str) -> None:
    assert says in desk.refuse("bench", *arguments)
