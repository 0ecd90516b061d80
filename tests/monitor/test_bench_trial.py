"""When a rate counts as held, and whose fault it is where it was not."""

import msgspec
import pytest

from monitor.bench.daemon import Use
from monitor.bench.delays import Growth
from monitor.bench.producer import Sent
from monitor.bench.trial import Account, Trial, decide

SENT = Sent(frames=1000, messages=1000, seconds=1.0, late_s=0.002, late_end_s=0.0, cpu_s=0.1, dark=[])
STEADY = Growth(0.001, 0.002, 0.7)
ALL_JUDGED = Account(announced=1000, judged=1000, unjudged=0, dropped=0, lost_upstream=0)


def decided(
    sent: Sent = SENT, found: Account = ALL_JUDGED, drained_s: float | None = 0.01, grown: Growth = STEADY
) -> Trial:
    return decide(1000.0, sent, found, drained_s, grown, Use(0.5, 0.1))


def test_a_rate_is_held_where_every_frame_is_judged_and_none_waits_longer() -> None:
    trial = decided()
    assert (trial.held, trial.why, trial.limited_by) == (True, "", "daemon")
    assert (trial.cores_hot, trial.cores_side, trial.cores_camera) == (0.5, 0.1, 0.1)


def test_frames_that_are_accounted_for_without_a_judgement_do_not_matter() -> None:
    assert decided(found=ALL_JUDGED._replace(judged=990, unjudged=10)).held


@pytest.mark.parametrize(
    ("found", "drained_s", "grown", "why"),
    [
        (ALL_JUDGED._replace(judged=999, dropped=1), 0.01, STEADY, "1 frames dropped"),
        (ALL_JUDGED._replace(judged=990, lost_upstream=10), 0.01, STEADY, "10 frames lost in the sockets"),
        (ALL_JUDGED._replace(judged=900), None, STEADY, "100 frames not accounted for; over 10 s of work left"),
        (ALL_JUDGED, 0.7, STEADY, "0.7 s of work left at the end"),
        (ALL_JUDGED, 0.01, Growth(0.05, 0.05, 0.7), "the queue grew by 50 ms"),
        (ALL_JUDGED, 0.01, Growth(0.005, 0.2, 0.7), "the queue grew by 5 ms"),
    ],
)
def test_a_rate_is_not_held_for_one_of_these_reasons(
    found: Account, drained_s: float | None, grown: Growth, why: str
) -> None:
    trial = decided(found=found, drained_s=drained_s, grown=grown)
    assert not trial.held
    assert trial.why.startswith(why)
    assert trial.limited_by == "daemon"


def test_a_camera_that_cannot_keep_up_is_not_the_daemons_fault() -> None:
    trial = decided(sent=msgspec.structs.replace(SENT, seconds=1.1))
    assert (trial.held, trial.limited_by) == (False, "camera")
    assert trial.why == "the camera process sent only 909 frames/s"


def test_what_nearly_held_is_told_from_what_did_not() -> None:
    assert decided(grown=Growth(0.05, 0.05, 0.7)).is_close
    assert not decided(drained_s=0.7).is_close
    assert not decided(found=ALL_JUDGED._replace(judged=999, dropped=1)).is_close
    assert not decided().is_close
