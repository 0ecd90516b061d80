"""Exactly one state at any time, the gravest of what holds, and a reason that names all of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.state import ENGINE_HUNG_NS, Decision, Facts, decide
from monitor.types import State

S = 1_000_000_000
NOW_NS = 100 * S
WELL = Facts(
    now_ns=NOW_NS,
    listening_ns=0,
    stopping=False,
    ready=True,
    engine_beat_ns=NOW_NS,
    last_heard_ns=NOW_NS,
    silence_ns=S,
    idle=False,
    camera_faults=(),
    mismatch=None,
    expired=None,
    dropped=None,
    futile=None,
    side_lost=False,
    side_why="",
)
HUNG = {"engine_beat_ns": NOW_NS - ENGINE_HUNG_NS - 1}
SILENT = {"last_heard_ns": NOW_NS - S - 1}
CAMERA = {"camera_faults": ("frozen", "dark")}
MISMATCH = {"mismatch": "frames of another size"}
EXPIRED = {"expired": "calibrated 90 days ago"}
DROPPED = {"dropped": "frames were dropped: too fast"}
FUTILE = {"futile": "frames arrive but none can be judged"}
SIDE_LOST = {"side_lost": True}
SIDE_ILL = {"side_why": "the journal's disk is full"}
IDLE = {"idle": True}
LOADING = {"ready": False}
STOPPING = {"stopping": True}

ILLS: dict[str, tuple[dict[str, object], State, str, str | None]] = {
    "stopping": (STOPPING, State.STOPPING, "told to stop", None),
    "loading": (LOADING, State.STARTING, "loading", None),
    "hung": (HUNG, State.DEGRADED, "the engine has not moved", "degraded"),
    "silent": (SILENT, State.BLIND, "no frame and no keep-alive for 1 s", "blind"),
    "camera": (CAMERA, State.BLIND, "camera fault: frozen, dark", None),
    "mismatch": (MISMATCH, State.UNCALIBRATED, "frames of another size", "uncalibrated"),
    "expired": (EXPIRED, State.STALE, "calibrated 90 days ago", "stale"),
    "dropped": (DROPPED, State.DEGRADED, "frames were dropped", "degraded"),
    "futile": (FUTILE, State.DEGRADED, "none can be judged", "degraded"),
    "side lost": (SIDE_LOST, State.DEGRADED, "the side process does not answer", "degraded"),
    "side ill": (SIDE_ILL, State.DEGRADED, "the journal's disk is full", "degraded"),
    "idle": (IDLE, State.IDLE, "the process is off", None),
}
"""Name -> what is so, the state if it alone is so, part of the reason, the alarm source. Gravest first."""


def decided(*ills: str) -> Decision:
    facts = WELL
    for ill in ills:
        facts = facts._replace(**ILLS[ill][0])
    return decide(facts)


def test_when_all_is_well_the_state_is_ok_and_nothing_is_said() -> None:
    assert decide(WELL) == Decision(State.OK, "", {})


@pytest.mark.parametrize("ill", ILLS)
def test_each_condition_has_its_state_reason_and_source(ill: str) -> None:
    _, state, why, source = ILLS[ill]
    found = decided(ill)
    assert found.state is state
    assert why in found.why
    assert set(found.conditions) == ({source} if source else set())
    if source:
        assert why in found.conditions[source]


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"engine_beat_ns": NOW_NS - ENGINE_HUNG_NS}, State.OK),
        ({"engine_beat_ns": NOW_NS - ENGINE_HUNG_NS - 1}, State.DEGRADED),
        ({"last_heard_ns": NOW_NS - S}, State.OK),
        ({"last_heard_ns": NOW_NS - S - 1}, State.BLIND),
        ({"last_heard_ns": None, "listening_ns": NOW_NS - S}, State.STARTING),
        ({"last_heard_ns": None, "listening_ns": NOW_NS - S - 1}, State.BLIND),
        ({"last_heard_ns": 5, "listening_ns": NOW_NS - S}, State.OK),  # heard before the restart
    ],
)
def test_times_count_from_just_beyond_their_bound(change: dict[str, object], state: State) -> None:
    assert decide(WELL._replace(**change)).state is state


def test_a_camera_never_heard_is_told_apart_from_one_gone_silent() -> None:
    assert "since the start" in decide(WELL._replace(last_heard_ns=None, listening_ns=0)).why
    assert "for 60 s" in decide(WELL._replace(last_heard_ns=NOW_NS - 60 * S)).why


def test_nothing_is_claimed_before_the_daemon_is_ready_or_once_it_stops() -> None:
    everything = [ill for ill in ILLS if ill not in ("stopping", "loading")]
    assert decided("loading", *everything).conditions == {}
    assert decided("stopping", *everything) == Decision(State.STOPPING, "told to stop", {})


def test_without_a_first_frame_it_is_never_ok() -> None:
    found = decide(WELL._replace(last_heard_ns=None, listening_ns=NOW_NS))
    assert (found.state, found.why) == (State.STARTING, "waiting for the first frame")


def test_a_fault_that_was_open_when_the_process_went_off_is_not_blind() -> None:
    assert decided("idle", "camera").state is State.IDLE


def test_silence_is_not_called_idle_in_the_same_breath() -> None:
    assert "off" not in decided("idle", "silent").why


def test_a_camera_that_says_it_is_off_and_goes_silent_is_blind_not_idle() -> None:
    assert decided("idle", "silent").state is State.BLIND


@given(ills=st.sets(st.sampled_from(list(ILLS))))
def test_the_gravest_wins_and_the_reason_names_all(ills: set[str]) -> None:
    ills -= {"camera"} if "idle" in ills else set()  # idle is never blind by a fault
    ills -= {"idle"} if "silent" in ills else set()  # nor silence idle
    order = [ill for ill in ILLS if ill in ills]
    found = decided(*order)
    if not order:
        assert found.state is State.OK
        return
    gravest = order[0] if ills & {"stopping", "loading"} else next(ill for ill in ILLS if ill in ills)
    assert found.state is ILLS[gravest][1]
    assert found.why
    if "stopping" in ills:
        return
    told_later = {"hung", "silent", "mismatch", "expired", "dropped", "futile", "side lost", "side ill"}
    for ill in ills - (told_later if "loading" in ills else set()):
        assert ILLS[ill][2] in found.why
    if "loading" not in ills:
        assert set(found.conditions) == {ILLS[ill][3] for ill in ills} - {None}
