"""New limits for a trained network: from a clean stretch or from kept blocks; what stays, moves and is refused."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
from budget import CONFIG, RATE_HZ, stretches, with_budget
from frames import normal, runs
from promise_example import block

from calibration.blocks import begin
from calibration.budget import budget_limit
from calibration.charts import CalibrationError
from calibration.tails import rarity
from monitor import bundle as bundles
from monitor.blockstore import Block
from monitor.budget import FittedBudget, GroupsShift
from monitor.bundle import REPORT, Bundle
from monitor.camera.recordings import Recording, RecordingError
from monitor.config import Calibration
from monitor.device import engine_of
from monitor.limits import EXTRAPOLATED, INDEPENDENT
from monitor.manifest import FittedLimit, Manifest
from monitor.promise import kept_block_frames
from monitor.recalibrate import Approval, from_blocks, from_stretches, write
from monitor.score import load_scorer

APPROVAL = Approval("A. Person", "a new optic")


@pytest.fixture(scope="module")
def budgeted(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_budget(small_bundle, tmp_path_factory.mktemp("budget") / "bundle")


def budget_of(manifest: Manifest) -> FittedBudget:
    assert manifest.budget is not None
    return manifest.budget


# From a clean stretch


@pytest.fixture(scope="module")
def renewed(budgeted: Bundle) -> tuple[Manifest, str]:
    return from_stretches(budgeted, stretches(2, 800, seed=80), CONFIG, RATE_HZ, APPROVAL)


def test_a_clean_stretch_sets_limits_on_a_scale_of_its_own(budgeted: Bundle, renewed: tuple[Manifest, str]) -> None:
    old, new = budgeted.manifest, renewed[0]
    assert new.scale != old.scale, "blocks that were kept before say nothing of these limits"
    assert new.charts == old.charts
    assert all(new.limits[chart].value != old.limits[chart].value for chart in old.charts)
    assert (budget_of(new).rate_hz, budget_of(new).k, budget_of(new).n) == (RATE_HZ, 2, 3)
    assert new.drift != old.drift
    assert new.rates != old.rates


def test_the_manifest_names_the_frames_that_train_and_those_that_now_set_limits(
    budgeted: Bundle, renewed: tuple[Manifest, str]
) -> None:
    of_role = {role: [group.name for group in renewed[0].groups if group.role == role] for role in ("train", "limits")}
    trained = [group for group in budgeted.manifest.groups if group.role == "train"]
    assert of_role == {"train": [group.name for group in trained], "limits": ["stretch 0", "stretch 1"]}
    assert [group for group in renewed[0].groups if group.role == "train"] == trained


def test_the_old_limits_stay_in_the_history(budgeted: Bundle, renewed: tuple[Manifest, str]) -> None:
    old, [earlier] = budgeted.manifest, renewed[0].history
    assert (earlier.by, earlier.why, earlier.created_ns) == ("A. Person", "a new optic", old.created_ns)
    assert earlier.created_ns < earlier.replaced_ns == renewed[0].created_ns
    assert earlier.limits == {chart: limit.value for chart, limit in old.limits.items()}
    held = budget_of(old)
    assert (earlier.action, earlier.per_hour, earlier.hours) == (held.action, held.per_hour, held.hours)
    assert (earlier.low, earlier.high, earlier.method) == (held.low, held.high, held.method)
    assert earlier.effective_blocks == held.effective_blocks
    assert not earlier.conservative


def test_the_network_stays_as_it_is_bit_for_bit(
    budgeted: Bundle, renewed: tuple[Manifest, str], tmp_path: Path
) -> None:
    copy = bundles.write(tmp_path / "bundle", budgeted.manifest, budgeted.tensors, None)
    written = write(copy, *renewed)
    assert bundles.read(copy.path).sha256 == written.sha256 != budgeted.sha256
    assert {name: array.tobytes() for name, array in written.tensors.items()} == {
        name: array.tobytes() for name, array in budgeted.tensors.items()
    }
    assert (written.manifest.training, written.manifest.camera) == (
        budgeted.manifest.training,
        budgeted.manifest.camera,
    )
    assert "stretch 1" in (copy.path / REPORT).read_text()


def test_the_manifest_says_what_scored_the_frames(budgeted: Bundle) -> None:
    elsewhere = msgspec.structs.replace(budgeted.manifest, engine="torch 2.13.0 cuda NVIDIA H100")
    manifest, _ = from_stretches(
        budgeted._replace(manifest=elsewhere), stretches(2, 800, seed=80), CONFIG, RATE_HZ, APPROVAL
    )
    assert manifest.engine == engine_of("cpu")


def test_frames_that_trained_the_network_set_no_limit(budgeted: Bundle) -> None:
    given = [*stretches(1), runs(1)[0]._replace(name="last night")]
    with pytest.raises(CalibrationError, match="last night: these frames trained the network, as run 0"):
        from_stretches(budgeted, given, CONFIG, RATE_HZ, APPROVAL)


def test_a_context_of_which_nothing_is_shown_gets_no_limits_of_others(budgeted: Bundle) -> None:
    held = budgeted.manifest
    groups = [
        msgspec.structs.replace(group, context=("hatch", "contour")[index % 2])
        for index, group in enumerate(held.groups)
    ]
    contexts: dict[str, dict[str, FittedLimit]] = {"contour": {}, "hatch": {}}
    manifest = msgspec.structs.replace(held, groups=tuple(groups), context_limits=contexts)
    given = [one._replace(context="hatch") for one in stretches()]
    with pytest.raises(CalibrationError, match="no stretch shows the context contour: give one of each"):
        from_stretches(budgeted._replace(manifest=manifest), given, CONFIG, RATE_HZ, APPROVAL)


def test_stretches_too_short_for_a_budget_do_not_take_the_place_of_one_that_is_kept(budgeted: Bundle) -> None:
    with pytest.raises(CalibrationError, match=r"cannot keep a budget .* give longer stretches, or set calibration"):
        from_stretches(budgeted, stretches(1, 60), CONFIG, RATE_HZ, APPROVAL)
    per_frame = msgspec.structs.replace(CONFIG, calibration=asking(None))
    new, _ = from_stretches(budgeted, stretches(1, 60), per_frame, RATE_HZ, APPROVAL)
    assert new.budget is None, "who asks for limits per frame has them"


def test_frames_that_the_camera_froze_are_told_and_named(budgeted: Bundle) -> None:
    frames = normal(1400, 50)
    frames[300:400] = frames[300]
    new, _ = from_stretches(budgeted, [Recording("stuck", frames)], CONFIG, RATE_HZ, APPROVAL)
    [told] = [one for one in new.warnings if "fault of the camera" in one]
    assert told.startswith("stuck: ")
    assert "(frozen, the first is number 30" in told


def test_a_frozen_camera_sets_no_scale(budgeted: Bundle) -> None:
    frames = np.repeat(normal(1, 50), 1400, axis=0)
    with pytest.raises(CalibrationError, match="have 1 different scores of the chart t2: was the camera frozen"):
        from_stretches(budgeted, [Recording("stuck", frames)], CONFIG, RATE_HZ, APPROVAL)


def test_a_memory_chart_that_comes_later_starts_from_the_means_of_the_training(budgeted: Bundle) -> None:
    latents = load_scorer(budgeted)(normal(1, 0)).latent.shape[1]
    means = {"hatch": (0.25,) * latents}
    manifest = msgspec.structs.replace(budgeted.manifest, memory=None, context_means=means)
    given = [one._replace(context="hatch") for one in stretches()]
    new, _ = from_stretches(budgeted._replace(manifest=manifest), given, CONFIG, RATE_HZ, APPROVAL)
    assert new.memory is not None
    assert new.memory.centers == means


def test_frames_of_another_kind_are_refused(budgeted: Bundle) -> None:
    with pytest.raises(RecordingError, match="wide: frames are 32x40 uint8"):
        from_stretches(budgeted, [Recording("wide", normal(30, 1, 32, 40))], CONFIG, RATE_HZ, APPROVAL)


def test_images_in_tiles_are_calibrated_anew(tiled_bundle: Bundle) -> None:
    held = tiled_bundle.manifest
    frames = np.zeros((2, held.height, held.width), held.dtype)
    with pytest.raises(CalibrationError, match="calibrate anew"):
        from_stretches(tiled_bundle, [Recording("scan", frames)], CONFIG, RATE_HZ, APPROVAL)


# From blocks that a daemon kept


def kept(bundle: Bundle, count: int, seed: int = 0, rarer: float = 0.0, rate_hz: float = RATE_HZ) -> list[Block]:
    """So many clean blocks as a daemon keeps them."""
    frames = kept_block_frames(budget_of(bundle.manifest))
    extremes = np.random.default_rng(seed).gumbel(1.5 + rarer, 0.3, count)
    made = [block(number, frames=frames, judged_s=frames / rate_hz) for number in range(count)]
    return [one._replace(extreme=float(extreme)) for one, extreme in zip(made, extremes, strict=True)]


def asking(per_hour: float | None = 60.0, *, conservative: bool = False) -> Calibration:
    return msgspec.structs.replace(CONFIG.calibration, false_alarms_per_hour=per_hour, conservative=conservative)


def extended(bundle: Bundle, blocks: Sequence[Block], per_hour: float = 60.0) -> Manifest:
    return from_blocks(bundle, blocks, asking(per_hour), APPROVAL)[0]


def test_blocks_move_the_joint_limit_and_each_charts_with_it(budgeted: Bundle) -> None:
    new = extended(budgeted, kept(budgeted, 300))
    action = budget_of(new).action
    assert action != budget_of(budgeted.manifest).action
    for limit in new.limits.values():
        assert [
            float(rarity(at, limit.tail.as_tail())) for at in (limit.low, limit.value, limit.high)
        ] == pytest.approx([budget_of(new).low, action, budget_of(new).high])
        assert limit.rate == pytest.approx(10**-action)


def test_all_else_stays_as_it_was(budgeted: Bundle) -> None:
    old, new = budgeted.manifest, extended(budgeted, kept(budgeted, 300))
    assert new.scale == old.scale, "what was kept before goes on to count"
    moved = {"created_ns", "budget", "limits", "history", "warnings"}
    assert {name for name in old.__struct_fields__ if getattr(new, name) != getattr(old, name)} == moved
    before, after = budget_of(old), budget_of(new)
    stays = ("k", "n", "block_frames", "warning", "warning_rate", "conservative", "shift")
    assert [getattr(after, name) for name in stays] == [getattr(before, name) for name in stays]
    for chart, limit in new.limits.items():
        assert (limit.tail, limit.center) == (old.limits[chart].tail, old.limits[chart].center)


def test_the_history_goes_on(budgeted: Bundle) -> None:
    once = extended(budgeted, kept(budgeted, 100))
    twice = extended(budgeted._replace(manifest=once), kept(budgeted, 300))
    assert [one.action for one in twice.history] == [budget_of(budgeted.manifest).action, budget_of(once).action]
    assert [one.created_ns for one in twice.history] == [budgeted.manifest.created_ns, once.created_ns]


def test_extrapolated_limits_become_supported_as_blocks_add_up(budgeted: Bundle) -> None:
    assert budget_of(budgeted.manifest).extrapolated_by > 3
    found = [extended(budgeted, kept(budgeted, count)) for count in (20, 40, 300)]
    by = [budget_of(one).extrapolated_by for one in found]
    assert by[0] > by[1] > by[2] == 1.0
    assert [one.extrapolated for one in found] == [True, True, False]
    assert [any(warning.endswith(EXTRAPOLATED) for warning in one.warnings) for one in found] == [True, True, False]
    widths = [budget_of(one).high - budget_of(one).low for one in found]
    assert widths[2] < widths[0]
    hours = 300 * kept_block_frames(budget_of(budgeted.manifest)) / RATE_HZ / 3600
    assert (budget_of(found[2]).blocks, budget_of(found[2]).hours) == (300, pytest.approx(hours))


def test_the_limit_is_that_of_its_blocks_and_of_groups_never_seen(budgeted: Bundle) -> None:
    shift = GroupsShift(0.2, 0.4, 0.01, 3, 3.0, "they differ")
    held = msgspec.structs.replace(budget_of(budgeted.manifest), shift=shift)
    bundle = budgeted._replace(manifest=msgspec.structs.replace(budgeted.manifest, budget=held))
    new = budget_of(extended(bundle, kept(budgeted, 300)))
    without = budget_of(extended(with_shift(budgeted), kept(budgeted, 300)))
    assert (new.action - without.action, new.high - without.high) == (pytest.approx(0.2), pytest.approx(0.4))
    assert np.mean(np.array(new.extremes) > without.action) == pytest.approx(60.0 * new.hours / 300, abs=2 / 300)


def with_shift(bundle: Bundle, **changes: object) -> Bundle:
    """*bundle* with *changes* to its budget, and whose runs do not differ."""
    held = msgspec.structs.replace(budget_of(bundle.manifest), **({"shift": None} | changes))
    return bundle._replace(manifest=msgspec.structs.replace(bundle.manifest, budget=held))


def test_the_configuration_says_whether_limits_are_careful(budgeted: Bundle) -> None:
    blocks, held = kept(budgeted, 300), with_shift(budgeted)
    average, careful = (
        budget_of(from_blocks(held, blocks, asking(conservative=one), APPROVAL)[0]) for one in (False, True)
    )
    assert average.action < careful.action < average.high
    assert (average.conservative, careful.conservative) == (False, True)


def test_another_budget_moves_the_limit(budgeted: Bundle) -> None:
    seldom, often = (budget_of(extended(budgeted, kept(budgeted, 300), per_hour)) for per_hour in (30.0, 200.0))
    assert seldom.action > often.action
    assert (seldom.asked_per_hour, seldom.per_hour, often.per_hour) == (30.0, 30.0, 200.0)
    most = budget_of(extended(budgeted, kept(budgeted, 300), 5000.0))
    assert (most.asked_per_hour, most.per_hour) == (5000.0, pytest.approx(0.1 * 3600 / 1.2))
    assert "not 5e+03" in most.why


def test_the_rate_is_the_one_that_was_judged(budgeted: Bundle) -> None:
    assert budget_of(extended(budgeted, kept(budgeted, 100, rate_hz=50.0))).rate_hz == pytest.approx(50.0)


def test_blocks_that_a_streams_end_cut_short_are_joined_to_what_follows(budgeted: Bundle) -> None:
    """An event ended each of the cut ones: a limit that did without them would be trimmed by the alarms themselves."""
    whole = kept(budgeted, 100)
    cut = [one._replace(frames=40, judged_s=0.4, extreme=9.0, stream=str(one.number)) for one in whole[::10]]
    mixed = [block for number, one in enumerate(whole) for block in ([cut[number // 10]] * (number % 10 == 3)) + [one]]
    found = budget_of(extended(with_shift(budgeted), [*mixed, cut[0]]))
    assert (np.array(found.extremes) == 9.0).sum() == 11, "one was left over, and joined the last"
    assert found.blocks == 100
    assert found.hours == pytest.approx((100 * 120 + 11 * 40) / RATE_HZ / 3600, rel=0.01)


def test_jobs_that_differ_raise_the_limit_for_a_new_one(budgeted: Bundle) -> None:
    """Twelve jobs, some of them higher throughout by half a decade or more."""
    levels = np.repeat(np.random.default_rng(5).normal(0, 0.6, 12), 40)
    blocks = [
        one._replace(job=f"job {number // 40}", extreme=one.extreme + levels[number])
        for number, one in enumerate(kept(budgeted, 480))
    ]
    alone = budget_of(extended(with_shift(budgeted), [one._replace(job="one") for one in blocks]))
    by_job = budget_of(extended(with_shift(budgeted), blocks))
    assert alone.shift is None
    assert by_job.shift is not None
    assert by_job.shift.groups == 12
    assert by_job.action == pytest.approx(alone.action + by_job.shift.by)
    assert by_job.shift.high > 0.2
    more = with_shift(budgeted, shift=msgspec.structs.replace(by_job.shift, by=3.0, high=3.5))
    assert budget_of(extended(more, blocks)).shift == budget_of(more.manifest).shift, "what runs differed by holds on"


def test_blocks_that_another_budget_kept_shorter_are_joined(budgeted: Bundle) -> None:
    """Two hundred of half the length before, and a hundred and fifty as they are now."""
    now = kept(budgeted, 150)
    length = now[0].frames
    before = [one._replace(frames=length // 2, judged_s=one.judged_s / 2) for one in kept(budgeted, 200, seed=1)]
    new = budget_of(extended(budgeted, [*before, *now]))
    assert (new.extremes_frames, new.blocks) == (length, 250)
    joined = np.array([one.extreme for one in before]).reshape(-1, 2).max(axis=1)
    np.testing.assert_array_equal(new.extremes, [*joined, *[one.extreme for one in now]])


def test_where_few_blocks_are_long_the_short_ones_are_not_joined(budgeted: Bundle) -> None:
    short = kept(budgeted, 60)
    long = [one._replace(frames=8 * one.frames, judged_s=8 * one.judged_s) for one in short[:3]]
    assert budget_of(extended(budgeted, [*short, *long])).blocks == 63


def test_the_limit_never_falls_among_ordinary_frames(budgeted: Bundle) -> None:
    new = budget_of(extended(with_shift(budgeted), kept(budgeted, 100, rarer=-3.0)))
    assert new.low == new.action == pytest.approx(np.log10(2))


@pytest.mark.parametrize(
    ("count", "per_hour", "says"),
    [
        (0, 60.0, "holds no blocks of this bundle yet: let the daemon judge longer"),
        (19, 60.0, "19 blocks are too few: judge at least 20"),
        (100, None, "calibration.false_alarms_per_hour is null"),
    ],
)
def test_what_cannot_set_a_limit_is_refused(budgeted: Bundle, count: int, per_hour: float | None, says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        from_blocks(budgeted, kept(budgeted, count), asking(per_hour), APPROVAL)


def test_limits_per_frame_need_a_clean_stretch(small_bundle: Bundle, budgeted: Bundle) -> None:
    with pytest.raises(CalibrationError, match="its limits are per frame: recalibrate from a clean stretch"):
        extended(small_bundle, kept(budgeted, 100))


def test_a_chart_with_the_limit_of_independent_frames_needs_a_clean_stretch(budgeted: Bundle) -> None:
    last = budgeted.manifest.charts[-1]
    limits = budgeted.manifest.limits | {
        last: msgspec.structs.replace(budgeted.manifest.limits[last], method=INDEPENDENT)
    }
    fixed = budgeted._replace(manifest=msgspec.structs.replace(budgeted.manifest, limits=limits))
    with pytest.raises(CalibrationError, match="kept blocks are in times of it: recalibrate from a clean stretch"):
        from_blocks(fixed, kept(budgeted, 300), asking(), APPROVAL)


def test_the_report_goes_on_headed_by_what_holds_now(budgeted: Bundle, tmp_path: Path) -> None:
    copy = bundles.write(tmp_path / "bundle", budgeted.manifest, budgeted.tensors, "<h1>Old</h1>below")
    for count in (200, 300):
        manifest, report = from_blocks(copy, kept(budgeted, count), asking(), APPROVAL)
        copy = write(copy, manifest, report)
    told = (copy.path / REPORT).read_text()
    assert told.startswith("<h1>Old</h1><!--")
    assert told.endswith("-->below")
    assert told.count("Set anew by") == 1
    assert "300 blocks" in told
    assert "200 blocks" not in told


def test_a_bundle_without_a_report_has_none_afterwards(budgeted: Bundle, tmp_path: Path) -> None:
    copy = bundles.write(tmp_path / "bundle", budgeted.manifest, budgeted.tensors, None)
    manifest, report = from_blocks(copy, kept(budgeted, 300), asking(), APPROVAL)
    assert report is None
    assert write(copy, manifest, report).manifest.limits == manifest.limits
    assert not (copy.path / REPORT).exists()


def test_the_limit_of_all_blocks_is_what_the_budget_says(budgeted: Bundle) -> None:
    blocks = kept(budgeted, 300)
    record_of = begin(2, 3, blocks[0].frames)._replace(extremes=np.array([one.extreme for one in blocks]))
    expected = budget_limit(record_of, 60.0, RATE_HZ)
    new = budget_of(extended(with_shift(budgeted), blocks))
    assert (new.action, new.low, new.high) == pytest.approx((expected.limit, expected.low, expected.high))
    assert (new.method, new.blocks, new.why) == (expected.method, expected.blocks, expected.why)
