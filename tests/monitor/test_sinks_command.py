"""Real programs."""

import asyncio
import logging
import os
import stat
import time
from pathlib import Path

import msgspec
import pytest
from sink_examples import dispatching, route, run, some_alarm, some_entry, some_journal, until

from monitor.sinks import command
from monitor.sinks.command import ERROR_BYTES, CommandSink
from monitor.sinks.sink import DeliveryError, RefusedError, SinkError


def program(folder: Path, text: str) -> str:
    path = folder / "notify"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def deliver(folder: Path, text: str, *arguments: str, timeout_s: float = 10.0, **more: object) -> None:
    async def main() -> None:
        await CommandSink("pager", (program(folder, text), *arguments), timeout_s).deliver(some_entry(**more))

    run(main)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_finds_the_alarm_on_standard_input_and_its_arguments_as_they_are(tmp_path: Path) -> None:
    deliver(tmp_path, f'cat > {tmp_path}/in; printf %s "$1" > {tmp_path}/arg', "$(rm -rf /) && ;", why="Ü")
    assert msgspec.json.decode((tmp_path / "in").read_bytes())["why"] == "Ü"
    assert (tmp_path / "arg").read_text() == "$(rm -rf /) && ;"


def test_a_program_that_does_not_read_is_fine(tmp_path: Path) -> None:
    deliver(tmp_path, "exit 0", why="x" * 1_000_000)


def test_the_environment_holds_nothing_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_SECRET", "1")
    deliver(tmp_path, f"/usr/bin/env > {tmp_path}/env")
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "_", "SHLVL"} == {"PATH", "LANG", "FRAMEWATCH_SINK"}


def test_another_exit_status_has_failed_with_what_the_program_said(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError, match=r"^exit status 3: no such pager$"):
        deliver(tmp_path, "echo no such pager >&2; exit 3")
    with pytest.raises(DeliveryError, match=r"^ended by signal 9$"):
        deliver(tmp_path, "kill -9 $$")


def test_exit_status_65_refuses_the_alarm_for_good(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"^exit status 65$"):
        deliver(tmp_path, "exit 65")


def test_of_much_that_is_said_the_end_is_kept_and_the_program_is_not_held_up(tmp_path: Path) -> None:
    with pytest.raises(DeliveryError) as caught:
        deliver(tmp_path, "head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; exit 1")
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < ERROR_BYTES + 100


def test_what_a_successful_program_says_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        deliver(tmp_path, "echo paged >&2")
    assert "sink pager: paged" in caplog.text


@pytest.mark.parametrize("stubborn", [False, True])
def test_at_the_time_limit_the_whole_group_is_ended_first_asked_then_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stubborn: bool
) -> None:
    monkeypatch.setattr(command, "GRACE_S", 0.2)
    trap = "trap '' TERM" if stubborn else "true"
    began_s = time.monotonic()
    with pytest.raises(DeliveryError, match=r"not done within 0\.3 s"):
        deliver(tmp_path, f"{trap}; sleep 60 & echo $! $$ > {tmp_path}/pids; wait; sleep 60", timeout_s=0.3)
    assert time.monotonic() - began_s < 10.0
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]

    async def gone() -> None:
        await until(lambda: not any(is_alive(pid) for pid in pids))

    run(gone)


def test_what_a_program_leaves_running_in_its_group_ends_with_it(tmp_path: Path) -> None:
    deliver(tmp_path, f"sleep 60 & echo $! > {tmp_path}/pid")

    async def gone() -> None:
        await until(lambda: not is_alive(int((tmp_path / "pid").read_text())))

    run(gone)


def test_a_stop_ends_a_program_that_still_runs(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    sink = CommandSink("pager", (program(tmp_path, f"echo $$ > {pid}.new; mv {pid}.new {pid}; sleep 60"),), 60.0)

    async def main() -> None:
        with some_journal() as journal:
            async with dispatching(journal, route(sink)) as dispatch:
                journal.write(some_alarm())
                dispatch.wake()
                await until(pid.exists)
            assert journal.cursor("pager") == 0
        await until(lambda: not is_alive(int(pid.read_text())))

    run(main)


def test_every_change_reaches_the_program_in_order_though_it_fails_now_and_then(tmp_path: Path) -> None:
    fail_once = "[ -e failed ] || { touch failed; exit 1; }"
    once = f"cd {tmp_path}; {fail_once}; cat >> got; echo >> got"
    sink = CommandSink("pager", (program(tmp_path, once),), 10.0)

    async def main() -> None:
        with some_journal() as journal:
            async with dispatching(journal, route(sink)) as dispatch:
                for rev in (1, 2, 3):
                    journal.write(some_alarm(1, rev))
                dispatch.wake()
                await until(lambda: journal.cursor("pager") == 3)

    run(main)
    lines = (tmp_path / "got").read_bytes().splitlines()
    assert [msgspec.json.decode(line)["rev"] for line in lines] == [1, 2, 3]


def test_no_descriptor_is_left_open(tmp_path: Path) -> None:
    sink = CommandSink("pager", (program(tmp_path, "exit 1"),), 10.0)

    async def main() -> None:
        async def fail() -> None:
            with pytest.raises(DeliveryError):
                await sink.deliver(some_entry())

        await fail()
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            await fail()
        await asyncio.sleep(0)
        assert len(os.listdir("/proc/self/fd")) == before

    run(main)


def test_a_program_that_is_not_there_is_refused_at_start_and_one_that_has_gone_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"^sinks\.commands 'pager': command: nothing-like-it is no program"):
        CommandSink("pager", ("nothing-like-it",), 1.0)
    path = program(tmp_path, "exit 0")
    sink = CommandSink("pager", (path,), 1.0)
    Path(path).unlink()

    async def main() -> None:
        with pytest.raises(DeliveryError, match="cannot be started: No such file"):
            await sink.deliver(some_entry())

    run(main)
