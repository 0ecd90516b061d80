"""A process of the daemon is killed: the others say so at once, and it comes back with all that was open."""

import contextlib
import os
import select
import time
from pathlib import Path

import numpy as np
from daemon import PATIENCE_S, Camera, Daemon
from frames import normal, with_spot

from monitor.bundle import Bundle

EVENTS = {"k": 2, "n": 3, "clear_frames": 30}
LIMIT_NS = 1_000_000_000  # within a second the other process must say that one is dead


def said_degraded(daemon: Daemon, since_ns: int, word: str) -> bool:
    return any(
        one.t_ns > since_ns and one.state == "degraded" and word in one.why for one in daemon.heartbeats
    ) and any(one.t_ns > since_ns and not one.permit for one in daemon.permits)


def delay_ns(daemon: Daemon, since_ns: int) -> int:
    """From *since_ns* to the first word of it, by the daemon's own clock."""
    beats = [one.t_ns for one in daemon.heartbeats if one.t_ns > since_ns and one.state == "degraded"]
    permits = [one.t_ns for one in daemon.permits if one.t_ns > since_ns and not one.permit]
    return max(min(beats), min(permits)) - since_ns


def open_an_event(daemon: Daemon, camera: Camera) -> str:
    """An alarm that stays active; returns its id."""
    daemon.wait_until_listening()
    camera.send(np.concatenate([normal(40, 1), with_spot(normal(6, 2))]))
    daemon.wait_until(lambda: bool(daemon.raised()), "alarm")
    return daemon.raised()[0].id


def test_a_killed_hot_process_is_told_of_and_comes_back_with_the_same_alarm(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        alarm = open_an_event(daemon, camera)
        before = daemon.status().ledger
        killed_ns = time.time_ns()
        daemon.kill("hot")
        daemon.wait_until(lambda: said_degraded(daemon, killed_ns, "hot"), "word of the dead hot process")
        assert delay_ns(daemon, killed_ns) < LIMIT_NS
        back_ns = time.time_ns()
        daemon.wait_until(
            lambda: any(one.t_ns > back_ns and one.state in ("ok", "blind") for one in daemon.heartbeats), "return"
        )
        assert daemon.status().alarms, "the alarm was lost"
        camera.send(with_spot(normal(6, 3)))
        daemon.wait_until(lambda: any(one.id == alarm and one.rev > 1 for one in daemon.alarms), "the same alarm")
        camera.send(normal(60, 4))
        daemon.wait_until(lambda: daemon.last_of_each()[alarm].state == "cleared", "end of the event")
        assert [one.id for one in daemon.raised()] == [alarm], "the alarm was raised a second time"
        ledger = daemon.wait_until_judged(camera.seq).ledger
        assert ledger.received == camera.seq
        assert ledger.judged >= before.judged
        assert ledger.judged + sum(ledger.dropped.values()) == camera.seq
        assert daemon.stop() == 0


def test_a_killed_side_process_is_told_of_and_loses_no_alarm_raised_meanwhile(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        first = open_an_event(daemon, camera)
        camera.send(normal(60, 4))
        daemon.wait_until(lambda: daemon.last_of_each()[first].state == "cleared", "end of the first event")
        killed_ns = time.time_ns()
        daemon.kill("side")
        camera.send(with_spot(normal(6, 5)))
        daemon.wait_until(lambda: said_degraded(daemon, killed_ns, "side"), "word of the dead side process")
        assert delay_ns(daemon, killed_ns) < LIMIT_NS
        daemon.wait_until(lambda: len({one.id for one in daemon.raised()}) == 2, "alarm raised meanwhile")
        daemon.wait_for_state("ok", "blind")
        camera.send(normal(60, 6))
        second = daemon.raised()[-1].id
        daemon.wait_until(lambda: daemon.last_of_each()[second].state == "cleared", "end of the second event")
        for alarm_id in (first, second):
            revisions = [one.rev for one in daemon.alarms if one.id == alarm_id]
            assert sorted(set(revisions)) == list(range(1, max(revisions) + 1)), "a revision was lost"
        assert daemon.stop() == 0


def test_the_permit_comes_back_when_the_killed_process_does(small_bundle: Bundle, tmp_path: Path) -> None:
    permit = {"quiet_s": 0.1, "withhold_states": ["starting", "degraded", "stopping"]}
    with Daemon(tmp_path, small_bundle.path, events=EVENTS, permit=permit) as daemon:
        daemon.wait_until(lambda: bool(daemon.permits) and daemon.permits[-1].permit, "permit")
        epoch = daemon.permits[-1].epoch
        daemon.kill("hot")
        daemon.wait_until(lambda: not daemon.permits[-1].permit, "fall of the permit")
        daemon.wait_until(lambda: daemon.permits[-1].permit, "return of the permit")
        assert daemon.permits[-1].epoch != epoch


def test_an_open_alarm_withholds_the_permit_after_the_process_that_raised_it_was_killed(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    permit = {"quiet_s": 0.1}
    with (
        Daemon(tmp_path, small_bundle.path, events=EVENTS, permit=permit) as daemon,
        Camera(daemon.endpoint) as camera,
    ):
        alarm = open_an_event(daemon, camera)
        daemon.kill("hot")
        killed_ns = time.time_ns()

        def idle() -> bool:
            camera.keep_alive()
            return any(one.t_ns > killed_ns and one.state == "idle" for one in daemon.heartbeats)

        daemon.wait_until(idle, "idle of the new process")
        said = len(daemon.permits)
        daemon.wait_until(lambda: len(daemon.permits) > said + 5, "permits of the new process")
        assert not any(one.permit for one in daemon.permits if one.t_ns > killed_ns)
        assert [one.id for one in daemon.status().alarms if one.source == "local"] == [alarm]


def test_a_process_that_is_still_loading_ends_with_its_supervisor(small_bundle: Bundle, tmp_path: Path) -> None:
    with Daemon(tmp_path, small_bundle.path) as daemon:
        daemon.wait_until_listening()
        first, side = daemon.child("hot"), daemon.child("side")
        daemon.kill("hot")
        daemon.wait_until(lambda: daemon.children("hot") not in ([], [first]), "new hot process")
        (second,) = daemon.children("hot")
        assert daemon.process is not None
        daemon.process.kill()
        daemon.process.wait()
        wait_until_gone(second, side)


def wait_until_gone(*pids: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            ended, _, _ = select.select([handle], [], [], PATIENCE_S)
            os.close(handle)
            assert ended, "a process outlived its supervisor"


def test_alarms_survive_the_death_of_the_whole_daemon(small_bundle: Bundle, tmp_path: Path) -> None:
    with Daemon(tmp_path, small_bundle.path, events=EVENTS) as daemon, Camera(daemon.endpoint) as camera:
        alarm = open_an_event(daemon, camera)
        assert daemon.process is not None
        children = [daemon.child("hot"), daemon.child("side")]
        daemon.process.kill()
        daemon.process.wait()
        wait_until_gone(*children)  # they notice that their supervisor is gone and end by themselves
        daemon.start()
        daemon.wait_until_listening()
        assert [one.id for one in daemon.status().alarms if one.source not in ("blind", "degraded")] == [alarm]
        camera.send(normal(60, 4))
        daemon.wait_until(lambda: daemon.last_of_each()[alarm].state == "cleared", "end of what was left open")
        assert [one.id for one in daemon.raised()] == [alarm]
        assert daemon.stop() == 0
