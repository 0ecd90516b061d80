"""Frames that a person marked: named, left out as pieces of their run, refused where nothing is meant by them."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from frames import QUICK, normal, with_spot
from hypothesis import given
from hypothesis import strategies as st

from calibration.charts import CalibrationError
from monitor.bundle import read
from monitor.calibrate import calibrate
from monitor.camera.recordings import Recording
from monitor.exclusion import Exclusion, of_recordings, parse, run_name, without
from monitor.manifest import Excluded
from monitor.split import runs_of


def recording(name: str, count: int) -> Recording:
    """Frames that tell their number."""
    return Recording(name, np.broadcast_to(np.arange(count)[:, None, None], (count, 2, 2)))


RUNS = [recording("run 1", 10), recording("run 2", 20)]


def numbers(recordings: tuple[Recording, ...]) -> dict[str, list[int]]:
    return {one.name: one.frames[:, 0, 0].tolist() for one in recordings}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("run 7", Exclusion("run 7")),
        ("hatch/run7.npy", Exclusion("hatch/run7.npy")),
        ("run 7:3-12", Exclusion("run 7", 3, 12)),
        ("run 7:5-5", Exclusion("run 7", 5, 5)),
        ("build.h5:/layer 3:0-99", Exclusion("build.h5:/layer 3", 0, 99)),
        ("build.h5:/layer 3", Exclusion("build.h5:/layer 3")),
        ("run 7:12", Exclusion("run 7:12")),
    ],
)
def test_an_exclusion_names_a_group_or_frames_of_it(text: str, found: Exclusion) -> None:
    assert parse(text) == found
    assert str(found) == text


@pytest.mark.parametrize(("text", "says"), [("", "name a group"), ("run:9-3", "'run:9-3': the first frame is beyond")])
def test_what_names_no_frames_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


def test_without_exclusions_all_stays() -> None:
    assert without(RUNS, []) == tuple(RUNS)


def test_a_whole_group_is_left_out() -> None:
    assert without(RUNS, [Exclusion("run 1")]) == (RUNS[1],)


def test_what_is_left_of_a_run_are_pieces_in_order() -> None:
    found = without(RUNS, [Exclusion("run 2", 12, 14), Exclusion("run 2", 3, 3)])
    assert numbers(found) == {
        "run 1": list(range(10)),
        "run 2, frames 0 to 2": [0, 1, 2],
        "run 2, frames 4 to 11": list(range(4, 12)),
        "run 2, frames 15 to 19": list(range(15, 20)),
    }


@given(marked=st.lists(st.tuples(st.integers(0, 19), st.integers(0, 19)).map(sorted), max_size=5))
def test_exactly_the_marked_frames_are_left_out(marked: list[list[int]]) -> None:
    exclusions = [Exclusion("run 2", first, last) for first, last in marked]
    gone = {number for first, last in marked for number in range(first, last + 1)}
    pieces = numbers(without(RUNS[1:], exclusions))
    assert [number for piece in pieces.values() for number in piece] == [one for one in range(20) if one not in gone]
    assert all(piece == list(range(piece[0], piece[-1] + 1)) for piece in pieces.values()), "nothing is joined"


def test_pieces_are_of_the_run_that_they_were_cut_from() -> None:
    pieces = without([recording("hatch/run7.npy", 10)], [Exclusion("hatch/run7.npy", 4, 5)])
    assert [run_name(piece.name) for piece in pieces] == ["hatch/run7.npy"] * 2
    assert run_name("run 7, frames of the second day") == "run 7, frames of the second day"
    contour = [one._replace(context="contour") for one in (recording("contour/run7.npy", 5),)]
    assert len(set(runs_of([pieces[0]._replace(context="hatch"), *contour]))) == 1


def test_a_group_that_sets_no_limits_is_refused_with_those_that_do() -> None:
    with pytest.raises(CalibrationError, match=r"--exclude run 3:1-2: no group of that name .* run 1, run 2"):
        without(RUNS, [Exclusion("run 3", 1, 2)])


def test_frames_that_a_group_does_not_have_are_refused() -> None:
    with pytest.raises(CalibrationError, match="--exclude run 1:5-10: it has only frames 0 to 9"):
        without(RUNS, [Exclusion("run 1", 5, 10)])


def test_the_manifest_names_first_and_last_frame() -> None:
    exclusions = [Exclusion("run 2"), Exclusion("run 1", 0, 4)]
    assert of_recordings(exclusions, RUNS) == (Excluded("run 2", 0, 19), Excluded("run 1", 0, 4))


# A calibration

RECORDINGS = [Recording(f"run {seed}", normal(60, seed)) for seed in range(3)]
SPOILED = [*RECORDINGS[:2], Recording("run 2", np.concatenate((normal(60, 2), with_spot(normal(20, 9)))))]
HASTY = msgspec.structs.replace(QUICK, max_steps=20, latent=2)


def test_a_bundle_says_what_was_left_out_and_both_limits(tmp_path: Path) -> None:
    marked = [Exclusion("run 2", 60, 79)]
    bundle = calibrate(SPOILED, HASTY, tmp_path / "marked", exclusions=marked)
    spoiled = calibrate(SPOILED, HASTY, tmp_path / "spoiled")
    held = read(bundle.path).manifest
    assert held.excluded == (Excluded("run 2", 60, 79),)
    assert [(group.name, group.frames, group.role) for group in held.groups][-1] == (
        "run 2, frames 0 to 59",
        60,
        "limits",
    )
    assert held.limits_with_excluded == {
        chart: pytest.approx(limit.value) for chart, limit in spoiled.manifest.limits.items()
    }
    assert held.limits["local"].value < 0.8 * held.limits_with_excluded["local"]
    assert (spoiled.manifest.excluded, spoiled.manifest.limits_with_excluded) == ((), {})


def test_frames_that_train_are_not_excluded(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"--exclude run 0: no group of that name sets the limits"):
        calibrate(RECORDINGS, HASTY, tmp_path / "bundle", exclusions=[Exclusion("run 0")])
    assert list(tmp_path.iterdir()) == []


def test_the_pieces_of_one_recording_are_of_one_run_and_others_stay_as_they_are() -> None:
    pieces = without(RUNS, [Exclusion("run 1", 4, 5), Exclusion("run 2", 0, 2)])
    assert len(pieces) == 3
    first, again, other = runs_of(pieces)
    assert first == again != other
    assert set(runs_of(RUNS)) == {first, other}
