"""Real, small calibrations: whole groups held out, the same from the same, doubts told, all or nothing on disk."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from frames import QUICK, normal, runs, with_spot
from hypothesis import given
from hypothesis import strategies as st

from calibration.charts import CalibrationError
from models.scores import CHARTS
from monitor.bundle import MANIFEST, REPORT, Bundle, BundleError, read
from monitor.calibrate import calibrate, split
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.score import score_table

TINY = Calibration(latent=2, max_steps=15, false_alarm_rate=0.01)
"""Fast, and good enough for what does not depend on how well the network draws."""

FEW = [Recording(f"run {seed}", normal(40, seed, 16, 16)) for seed in range(4)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """What comparisons begin from."""
    return calibrate(FEW, TINY, tmp_path_factory.mktemp("first") / "bundle")


def weights(bundle: Bundle) -> dict[str, bytes]:
    return {name: tensor.tobytes() for name, tensor in bundle.tensors.items()}


def roles(bundle: Bundle) -> dict[str, str]:
    return {group.name: group.role for group in bundle.manifest.groups}


class TestSplit:
    @pytest.mark.parametrize(
        ("groups", "held_out", "kept"), [(2, 0.01, 1), (2, 0.99, 1), (3, 0.34, 1), (9, 0.34, 3), (12, 0.34, 4)]
    )
    def test_whole_groups_are_held_out_from_the_end(self, groups: int, held_out: float, kept: int) -> None:
        recordings = runs(groups, 3)
        parts = split(recordings, held_out)
        assert [one.name for one in parts.train] == [one.name for one in recordings[: groups - kept]]
        assert [one.name for one in parts.limits] == [one.name for one in recordings[groups - kept :]]

    def test_of_one_group_the_last_frames_are_held_out_and_it_warns(self) -> None:
        [recording] = runs(1, 100)
        parts = split([recording], 0.25)
        np.testing.assert_array_equal(parts.train[0].frames, recording.frames[:75])
        np.testing.assert_array_equal(parts.limits[0].frames, recording.frames[75:])
        [warning] = parts.warnings
        assert "there is one group only (run 0)" in warning

    @pytest.mark.parametrize(("groups", "says"), [(2, "1 held-out group:"), (12, "4 held-out groups:")])
    def test_few_held_out_groups_are_said_to_be_few(self, groups: int, says: str) -> None:
        [warning] = split(runs(groups, 3), 0.34).warnings
        assert says in warning

    def test_nine_held_out_groups_are_enough(self) -> None:
        assert split(runs(18, 1), 0.5).warnings == ()

    @given(groups=st.integers(2, 40), held_out=st.floats(0.01, 0.99))
    def test_every_group_has_one_role_and_both_roles_are_taken(self, groups: int, held_out: float) -> None:
        recordings = [Recording(str(index), np.zeros((1, 16, 16), np.uint8)) for index in range(groups)]
        parts = split(recordings, held_out)
        assert parts.train
        assert parts.limits
        assert [*parts.train, *parts.limits] == recordings


class TestBundle:
    def test_it_says_what_it_was_made_of(self, small_bundle: Bundle) -> None:
        held = small_bundle.manifest
        assert (held.height, held.width, held.dtype) == (32, 32, "uint8")
        assert (held.settings, held.contexts) == (None, None)
        assert [group.role for group in held.groups] == ["train"] * 8 + ["limits"] * 4
        assert [group.name for group in held.groups] == [one.name for one in runs()]
        assert {group.frames for group in held.groups} == {100}
        assert len({group.sha256 for group in held.groups}) == 12
        assert held.training["latent"] == QUICK.latent
        assert held.training["seed"] == QUICK.seed
        assert tuple(held.limits) == CHARTS
        assert held.false_alarm_rate == QUICK.false_alarm_rate

    def test_each_limit_lies_in_its_interval_above_the_median(self, small_bundle: Bundle) -> None:
        for limit in small_bundle.limits:
            assert limit.center < limit.value
            assert limit.low <= limit.value <= limit.high
            assert (limit.frames, limit.rate) == (400, QUICK.false_alarm_rate)

    def test_it_says_that_so_few_frames_do_not_support_the_rate(self, small_bundle: Bundle) -> None:
        assert small_bundle.manifest.extrapolated
        told = "400 held-out frames cannot support a rate of 0.01:"
        assert any(told in warning for warning in small_bundle.manifest.warnings)

    def test_clean_frames_bring_no_other_warning(self, small_bundle: Bundle) -> None:
        assert len(small_bundle.manifest.warnings) == 2

    def test_it_lies_on_disk_with_its_report(self, small_bundle: Bundle) -> None:
        assert read(small_bundle.path).sha256 == small_bundle.sha256
        report = (small_bundle.path / REPORT).read_text()
        assert "Calibration report" in report
        assert "run 11" in report

    def test_it_tells_new_normal_frames_from_frames_with_a_spot(self, small_bundle: Bundle) -> None:
        fresh = normal(300, 100)
        table = score_table(small_bundle, [Recording("fresh", fresh), Recording("spot", with_spot(fresh, 6, 25))])
        flags = table["flag"].to_numpy()
        assert flags[:300].mean() < 0.05
        assert flags[300:].mean() > 0.99


def test_the_same_frames_and_seed_give_the_same_weights_and_limits(first: Bundle, tmp_path: Path) -> None:
    again = calibrate(FEW, TINY, tmp_path / "again").manifest
    assert weights(first) == weights(read(tmp_path / "again"))
    assert first.manifest.limits == again.limits
    assert first.manifest.groups == again.groups
    assert first.manifest.camera == again.camera


def test_another_seed_gives_other_weights(first: Bundle, tmp_path: Path) -> None:
    other = calibrate(FEW, msgspec.structs.replace(TINY, seed=1), tmp_path / "other")
    assert weights(first) != weights(other)


def test_held_out_frames_never_touch_the_network_or_the_charts(first: Bundle, tmp_path: Path) -> None:
    bright = FEW[-1]._replace(frames=FEW[-1].frames // 2 + 100)
    other = calibrate([*FEW[:-1], bright], TINY, tmp_path / "other")
    assert roles(first)[FEW[-1].name] == "limits"
    assert weights(first) == weights(other)
    assert first.manifest.limits != other.manifest.limits


def test_the_order_of_the_groups_says_which_are_held_out(first: Bundle, tmp_path: Path) -> None:
    back = calibrate(FEW[::-1], TINY, tmp_path / "back")
    assert [name for name, role in roles(first).items() if role == "limits"] == ["run 3"]
    assert [name for name, role in roles(back).items() if role == "limits"] == ["run 0"]
    sums = [{group.name: group.sha256 for group in one.manifest.groups} for one in (first, back)]
    assert sums[0] == sums[1], "a group is known by its pixels, wherever it stands"


def test_one_group_is_cut_in_two_and_warned_about(tmp_path: Path) -> None:
    bundle = calibrate([Recording("only", normal(120, 1, 16, 16))], TINY, tmp_path / "bundle")
    assert [(group.role, group.frames) for group in bundle.manifest.groups] == [("train", 79), ("limits", 41)]
    assert any("one group only (only)" in warning for warning in bundle.manifest.warnings)


def test_what_the_camera_said_is_kept(tmp_path: Path) -> None:
    bundle = calibrate(FEW, TINY, tmp_path / "bundle", camera_settings="40 us", contexts=("hatch",))
    assert (bundle.manifest.settings, bundle.manifest.contexts) == ("40 us", ("hatch",))
    assert bundle.manifest.own_limits == {}, "of which frames show it nothing was said"


def contexts_of(runs: int, contour: int) -> list[Recording]:
    """Runs of 120 frames of hatch and *contour* darker ones of contour."""
    recordings = []
    for seed in range(runs):
        frames = normal(120 + contour, seed, 16, 16)
        recordings.append(Recording(f"run {seed}, hatch", frames[:120], "hatch"))
        recordings.append(Recording(f"run {seed}, contour", frames[120:] // 2, "contour"))
    return recordings


def test_each_context_has_limits_of_its_own_held_out_frames(tmp_path: Path) -> None:
    bundle = calibrate(contexts_of(6, 110), msgspec.structs.replace(TINY, false_alarm_rate=0.05), tmp_path / "bundle")
    held = bundle.manifest
    assert held.contexts == ("contour", "hatch")
    assert bundle.admission.contexts == {"contour", "hatch"}
    assert [(group.name, group.context) for group in held.groups if group.role == "limits"] == [
        ("run 4, hatch", "hatch"),
        ("run 5, hatch", "hatch"),
        ("run 4, contour", "contour"),
        ("run 5, contour", "contour"),
    ]
    assert [held.own_limits[context]["t2"].frames for context in ("contour", "hatch")] == [220, 240]
    assert [limit.frames for limit in bundle.limits] == [460] * len(CHARTS)
    assert len({limits["t2"].value for limits in (held.limits, *held.own_limits.values())}) == 3
    assert not any("stand out" in warning for warning in held.warnings), "a darker context is not strange for that"


def test_a_context_of_few_frames_has_the_pooled_limits_and_is_told(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(TINY, false_alarm_rate=0.05)
    bundle = calibrate(contexts_of(6, 20), settings, tmp_path / "bundle", contexts=("skin",))
    held = bundle.manifest
    assert held.contexts == ("contour", "hatch", "skin")
    assert set(held.own_limits) == {"hatch"}
    limits = bundle.context_limits
    assert all(limits.of(context) is limits.pooled for context in ("contour", "skin", ""))
    [warning] = [one for one in held.warnings if "too few" in one]
    assert warning == (
        "context contour has the limits of all contexts pooled: its 40 held-out frames are too few for limits of its "
        "own; give 200 or more"
    )


def test_frames_of_one_context_need_no_other_limits(tmp_path: Path) -> None:
    held = calibrate([one._replace(context="hatch") for one in FEW], TINY, tmp_path / "bundle").manifest
    assert (held.contexts, held.own_limits) == (("hatch",), {})


def test_frames_without_context_are_admitted_where_some_were_given(tmp_path: Path) -> None:
    some = [one._replace(context="hatch" if index < 2 else "") for index, one in enumerate(FEW)]
    assert calibrate(some, TINY, tmp_path / "bundle").manifest.contexts == ("", "hatch")


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_every_type_of_pixel_can_be_calibrated(tmp_path: Path, dtype: str) -> None:
    recordings = [one._replace(frames=one.frames.astype(dtype)) for one in FEW]
    bundle = calibrate(recordings, TINY, tmp_path / "bundle")
    assert bundle.manifest.dtype == dtype
    assert np.isfinite([limit.value for limit in bundle.limits]).all()


def test_progress_is_told_to_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    calibrate(FEW, TINY, tmp_path / "bundle", progress=lambda done, steps, *_: seen.append((done, steps)))
    assert seen[-1] == (TINY.max_steps, TINY.max_steps)
    assert seen == sorted(seen)


def test_frames_that_stand_out_are_shown_to_a_person_and_left_in(tmp_path: Path) -> None:
    spoiled = runs()
    odd = spoiled[9].frames.copy()
    odd[40:48] = with_spot(odd[40:48])
    spoiled[9] = spoiled[9]._replace(frames=odd)
    quick = msgspec.structs.replace(QUICK, max_steps=100)
    bundle = calibrate(spoiled, quick, tmp_path / "bundle")
    [warning] = [one for one in bundle.manifest.warnings if "stand out" in one]
    assert "8 of 400 held-out frames stand out from the others (the first is frame 40 of run 9)" in warning
    assert all(limit.frames == 400 for limit in bundle.limits)


def test_constant_frames_are_told_with_their_number(tmp_path: Path) -> None:
    covered = FEW[1].frames.copy()
    covered[[5, 9]] = 17
    bundle = calibrate([FEW[0], Recording("covered", covered), *FEW[2:]], TINY, tmp_path / "bundle")
    [warning] = [one for one in bundle.manifest.warnings if "constant" in one]
    assert warning.startswith("covered: 2 frames are constant (the first is number 5)")


@pytest.mark.parametrize(
    ("recordings", "settings", "says"),
    [
        ([runs(1, 60)[0], runs(1, 3)[0]], TINY, "3 held-out frames are too few for a limit: give at least 20"),
        (runs(1, 2), TINY, "1 training frames cannot fit a latent of 2: 4 are needed"),
        (runs(2, 30), Calibration(latent=32), "30 training frames cannot fit a latent of 32: 34 are needed"),
        (
            [Recording(f"dead {index}", np.full((40, 16, 16), 9, np.uint8)) for index in range(3)],
            TINY,
            "all calibration frames look alike to the network: give frames that differ",
        ),
        ([Recording("wide", np.zeros((60, 16, 600), np.uint8))], TINY, "set calibration.tile_px"),
        ([Recording("nan", np.full((60, 16, 16), np.nan, np.float32))], TINY, "not finite"),
        (
            [
                FEW[0]._replace(frames=FEW[0].frames.astype(np.float32)),
                Recording("n", np.full((40, 16, 16), np.inf, "f4")),
            ],
            TINY,
            "held-out scores are not finite: remove the frames",
        ),
    ],
)
def test_unusable_frames_end_in_one_line_and_leave_nothing(
    tmp_path: Path, recordings: list[Recording], settings: Calibration, says: str
) -> None:
    with pytest.raises(CalibrationError) as caught:
        calibrate(recordings, settings, tmp_path / "bundle")
    assert says in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    def interrupted(done: int, steps: int, loss: float, what: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        calibrate(FEW, TINY, tmp_path / "a" / "bundle", progress=interrupted)
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_told_before_the_training(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("mine")
    steps: list[int] = []
    with pytest.raises(BundleError, match="choose another --out"):
        calibrate(FEW, TINY, tmp_path / "bundle", progress=lambda done, *_: steps.append(done))
    assert steps == []
    assert (tmp_path / "bundle").read_text() == "mine"


def test_an_earlier_bundle_survives_a_failure(tmp_path: Path) -> None:
    before = calibrate(FEW, TINY, tmp_path / "bundle")
    with pytest.raises(CalibrationError):
        calibrate(runs(2, 3), TINY, tmp_path / "bundle")
    assert read(tmp_path / "bundle").sha256 == before.sha256
    assert [entry.name for entry in tmp_path.iterdir()] == ["bundle"]
    assert (tmp_path / "bundle" / MANIFEST).is_file()


def test_a_stretch_that_trains_the_network_sets_no_limit(tmp_path: Path) -> None:
    twin = FEW[1]._replace(name="clean 1")
    with pytest.raises(CalibrationError, match=r"clean 1: these frames trained the network, as run 1"):
        calibrate(FEW, TINY, tmp_path / "bundle", stretches=[twin])
    assert not (tmp_path / "bundle").exists()
