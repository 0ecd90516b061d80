"""The harness of `make evaluate`: splits do not leak, baselines reach what toy frames allow, intervals cover."""

import os
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest
from frames import QUICK, runs, with_spot
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from calibration.evaluation import Counts, performance
from models.scores import CHARTS
from monitor.bundle import Bundle
from monitor.camera.publisher import Shot
from monitor.camera.schedule import Truth
from monitor.config import Calibration
from monitor.score import score_table
from tests.benchmarks.document import replaced
from tests.benchmarks.evaluate import recorded
from tests.benchmarks.evaluate.__main__ import variant
from tests.benchmarks.evaluate.figures import Figures, Judged, f1, judge
from tests.benchmarks.evaluate.methods import (
    TOGETHER,
    conformal_limit,
    features_of,
    framewatch,
    mean_intensity,
    nearest_neighbour,
    otsu,
    pca,
    pool_features,
)
from tests.benchmarks.evaluate.simulated import PER_EVENT, alterations, chosen_of, run
from tests.benchmarks.evaluate.splits import NORMAL, Shown, Split, places, require_apart, shown
from tests.benchmarks.evaluate.tables import markdown, mixture, overview

Frames = npt.NDArray[np.float32]

SIDE = 16
WAYS = np.linalg.qr(np.random.default_rng(5).normal(size=(SIDE**2, 3)))[0].T  # three directions at right angles


def toy(count: int, seed: int, in_plane: float = 0.0, beside: float = 0.0) -> Frames:
    """Frames that vary by ten along two directions and by one in every pixel; moved along the first and the third."""
    random = np.random.default_rng(seed)
    flat = 10 * random.normal(size=(count, 2)) @ WAYS[:2] + random.normal(size=(count, SIDE**2))
    flat += in_plane * WAYS[0] + beside * WAYS[2]
    return flat.reshape(count, SIDE, SIDE).astype(np.float32)


def toy_split(anomalous: Frames, normal: Frames | None = None, rate: float = 0.05) -> Split:
    normal = toy(1000, 2) if normal is None else normal
    parts = [(NORMAL, normal, np.arange(len(normal))), ("odd", anomalous, 10_000 + np.arange(len(anomalous)))]
    return Split("toy", [toy(1500, 0)], [toy(1000, 1)], shown(parts), Calibration(), rate)


def area_of(split: Split, judged: list[Judged], score: str) -> float:
    (one,) = [one for one in judged if one.score == score]
    value = Figures(split, resamples=2).area(one).value
    assert value is not None
    return value


def quiet(line: str) -> None:
    pass


def chance(larger: object, smaller: object) -> float:
    """That a draw of one distribution lies above one of the other."""
    draws = np.random.default_rng(0)
    return float(np.mean(larger.rvs(200_000, random_state=draws) > smaller.rvs(200_000, random_state=draws)))


def test_pca_sees_in_each_chart_what_theory_says() -> None:
    split = toy_split(toy(1000, 3, in_plane=20.0, beside=8.0))
    judged = judge(split, [pca(2, split.rate)], quiet)
    in_plane = chance(stats.ncx2(2, 20.0**2 / (10**2 + 1)), stats.chi2(2))
    beside = chance(stats.ncx2(SIDE**2 - 2, 8.0**2), stats.chi2(SIDE**2 - 2))
    assert area_of(split, judged, "T2") == pytest.approx(in_plane, abs=0.03)
    assert area_of(split, judged, "Q") == pytest.approx(beside, abs=0.03)
    assert area_of(split, judged, TOGETHER) > in_plane - 0.03


@pytest.mark.parametrize("sign", [-1, 1])
def test_mean_intensity_sees_brighter_and_darker_frames_as_well_as_theory_says(sign: int) -> None:
    levels = np.random.default_rng(0).normal(100, 5, 4000).astype(np.float32)
    flat = np.broadcast_to(levels[:, None, None], (4000, SIDE, SIDE))
    parts = [(NORMAL, flat[2000:3000], np.arange(1000)), ("odd", flat[3000:] + sign * 7.5, np.arange(1000, 2000))]
    split = Split("levels", [flat[:1000]], [flat[1000:2000]], shown(parts), Calibration(), 0.05)
    seen = area_of(split, judge(split, [mean_intensity()], quiet), TOGETHER)
    right = stats.norm.cdf(1.5 / np.sqrt(2))  # |x| > |y| where x - y and x + y have one sign
    assert seen == pytest.approx(right**2 + (1 - right) ** 2, abs=0.03)


@pytest.mark.parametrize("method", [pca(2, 0.05), mean_intensity(), nearest_neighbour()])
def test_frames_that_are_not_anomalous_are_not_told_apart_and_seldom_flagged(method: object) -> None:
    split = toy_split(toy(1000, 4))
    *_, one = judge(split, [method], quiet)
    figures = Figures(split, resamples=100)
    assert figures.area(one).value == pytest.approx(0.5, abs=0.035)
    assert figures.false_alarms(one).value == pytest.approx(0.05, abs=0.03)


def test_the_nearest_neighbour_finds_what_lies_between_the_training_frames() -> None:
    far = toy(300, 0, in_plane=80.0), toy(300, 1, in_plane=-80.0)
    split = toy_split(toy(200, 3))._replace(train=far, calibration=[toy(300, 5, in_plane=80.0)])
    normal = toy(200, 6, in_plane=-80.0)
    split = split._replace(shown=toy_split(toy(200, 3), normal).shown)
    assert area_of(split, judge(split, [nearest_neighbour()], quiet), TOGETHER) > 0.95


def disc(radius: float, grey: float, seed: int, stretch: float = 1.0) -> npt.NDArray[np.uint8]:
    down, right = np.mgrid[:40, :40] - 19.5
    inside = (down / stretch) ** 2 + right**2 < radius**2
    return np.clip(10 + grey * inside + np.random.default_rng(seed).normal(0, 1, (40, 40)), 0, 255).astype(np.uint8)


def test_pool_features_measure_the_pool_and_find_one_that_is_too_long() -> None:
    area, length, width, mean, peak = features_of(disc(6, 150, 0, stretch=2.0)[None], 80.0)[0]
    assert area == pytest.approx(np.pi * 6 * 12, rel=0.03)
    assert (length, width) == (pytest.approx(24, rel=0.03), pytest.approx(12, rel=0.03))  # a disc: 4 sd = diameter
    assert mean == pytest.approx(160, abs=1)
    assert 160 < peak < 166
    assert not features_of(np.zeros((1, 40, 40), np.uint8), 80.0).any()
    random = np.random.default_rng(0)
    discs = np.stack([disc(random.uniform(5, 7), random.uniform(130, 170), seed) for seed in range(300)])
    assert 10 < otsu(discs) < 140
    long = np.stack([disc(5, 150, 400 + seed, stretch=1.6) for seed in range(50)])
    parts = [(NORMAL, discs[200:], np.arange(100)), ("long", long, np.arange(100, 150))]
    split = Split("discs", [discs[:100]], [discs[100:200]], shown(parts), Calibration(), 0.05)
    assert area_of(split, judge(split, [pool_features()], quiet), TOGETHER) > 0.98


def test_framewatch_is_judged_by_the_very_bundle_that_calibrate_makes_of_these_groups(small_bundle: Bundle) -> None:
    recordings = runs()
    groups = [recording.frames for recording in recordings]
    found = framewatch(QUICK, 0.01).fit(groups[:8], groups[8:])(with_spot(groups[3]))
    table = score_table(small_bundle, [recordings[3]._replace(frames=with_spot(groups[3]))])
    assert set(found) == {*CHARTS, TOGETHER}
    for name in found:
        column = table["joint" if name == TOGETHER else name].to_numpy()
        assert found[name] == pytest.approx(column, rel=1e-5), name


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=60), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
def test_conformal_limits_fall_as_the_rate_grows(scores: list[float], one: float, other: float) -> None:
    low, high = sorted((one, other))
    assert conformal_limit(np.array(scores), high) <= conformal_limit(np.array(scores), low)


def test_a_conformal_limit_keeps_its_rate_and_is_infinite_where_frames_are_too_few() -> None:
    random = np.random.default_rng(0)
    rates = [float(stats.norm.sf(conformal_limit(random.normal(size=199), 0.05))) for _ in range(400)]
    assert np.mean(rates) == pytest.approx(0.05, abs=0.003)  # Beta(10, 190)
    assert conformal_limit(np.arange(18.0), 0.05) == np.inf
    assert conformal_limit(np.arange(19.0), 0.05) == 18.0


def test_a_split_that_shows_a_frame_twice_is_refused() -> None:
    split = toy_split(toy(10, 3), toy(10, 2))
    require_apart(split)
    for leaking in (
        split._replace(train=[toy(10, 3)]),
        split._replace(calibration=[toy(10, 3)[4:5]]),
        split._replace(calibration=[split.train[0][:1]]),
    ):
        with pytest.raises(ValueError, match="too"):
            require_apart(leaking)
        with pytest.raises(ValueError, match="too"):
            judge(leaking, [], quiet)


def test_crops_of_one_picture_hang_together_where_they_overlap() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (200, 200)).astype(np.uint8)
    corners = [(0, 0), (100, 100), (20, 0), (40, 10), (100, 131), (132, 132), (0, 150)]
    found = places(np.stack([picture[row : row + 32, column : column + 32] for row, column in corners]))
    assert found[0] == found[2] == found[3]
    assert len({found[0], found[1], found[4], found[5], found[6]}) == 5  # one column in common is too little to say


def test_scenes_are_known_by_what_drifts_through_them() -> None:
    random = np.random.default_rng(1)
    worlds = [np.kron(random.normal(size=(16, 16)), np.ones((16, 16))) for _ in range(3)]
    shown_scene = np.repeat([0, 1, 2], [4, 3, 2])
    movie = [np.roll(worlds[scene], (4 * i, -8 * i), (0, 1)) for i, scene in enumerate(shown_scene)]
    frames = np.stack(movie) + random.normal(0, 0.5, (9, 256, 256))
    found = recorded.scenes(frames)
    assert [len(set(found[shown_scene == scene])) for scene in range(3)] == [1, 1, 1]
    assert len(set(found)) == 3


@pytest.mark.skipif("FRAMEWATCH_DATA" not in os.environ, reason="FRAMEWATCH_DATA is not set: no recorded frames")
@pytest.mark.parametrize("splits", [recorded.stem_sto, recorded.meltpool_nist])
def test_no_split_of_recorded_frames_leaks(splits: object) -> None:
    for split in splits(True):
        require_apart(split)
        assert len(np.concatenate(split.calibration)) >= 20
        if split.partners is not None:
            wrong = np.flatnonzero(split.shown.anomalous)
            assert (split.shown.kinds[split.partners[wrong]] == NORMAL).all()
            assert (split.shown.blocks[split.partners[wrong]] == split.shown.blocks[wrong]).all()
            changed = split.shown.frames[wrong] != split.shown.frames[split.partners[wrong]]
            assert changed.mean(axis=(1, 2)).max() < 0.1  # a pasted square, and nothing else
            crops = np.concatenate([*split.train, *split.calibration, split.shown.frames[~split.shown.anomalous]])
            ends = np.cumsum([sum(map(len, split.train)), sum(map(len, split.calibration))])
            train, limits, judged = (set(part.tolist()) for part in np.split(places(crops), ends))
            assert not train & limits
            assert not train & judged
            assert not limits & judged


def test_frames_of_a_run_are_labelled_by_its_truth_while_the_process_is_on() -> None:
    active = np.ones(400, bool)
    active[105:110] = False
    truths = [Truth("spatter", 100, 107, 1.0), Truth("plume", 200, 259, 1.0), Truth("spatter", 105, 109, 1.0)]
    chosen = chosen_of(truths, active)
    assert chosen["spatter"].tolist() == [100, 101, 102, 103, 104]
    assert len(chosen["plume"]) == PER_EVENT
    assert (chosen["plume"][0], chosen["plume"][-1]) == (200, 259)
    normal = chosen[NORMAL]
    assert active[normal].all()
    assert not ((normal >= 100) & (normal < 110) | (normal >= 200) & (normal < 260)).any()
    assert 25 <= len(normal) <= 30


class Cut:
    """A camera of 48 frames, number i of grey i, whose anomaly is not over yet at the last one."""

    unfinished = Truth("plume", 40, 70, 1.0)

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        for first in (0, 24):
            grey = np.arange(first, first + 24, dtype=np.uint8)
            yield Shot(np.broadcast_to(grey[:, None, None], (24, 16, 16))), ()


def test_an_anomaly_that_the_end_of_a_run_cuts_is_anomalous_up_to_there() -> None:
    found = run(Cut(), 48)
    assert found["plume"][:, 0, 0].tolist() == [40, 41, 42, 43, 44, 45, 46, 47]
    assert found[NORMAL].max() < 40


def test_every_alteration_alters_and_leaves_the_frames_as_they_were() -> None:
    frames = np.random.default_rng(0).integers(40, 200, (3, 32, 32)).astype(np.uint8)
    before = frames.copy()
    altered = alterations(frames)
    assert np.array_equal(frames, before)
    assert np.array_equal(altered.pop(NORMAL), frames)
    assert len(altered) == 7
    for kind, one in altered.items():
        assert one.dtype == np.uint8, kind
        assert (one != frames).mean() > 0.5, kind


def study(seed: int) -> tuple[Split, Judged]:
    """Thirty runs whose scores share a level of their own; two kinds, of which one is rare."""
    random = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(30), 25)
    kinds = np.tile(np.array([NORMAL] * 12 + ["common"] * 10 + ["rare"] * 3, object), 30)
    shift = np.select([kinds == "common", kinds == "rare"], [2.0, 0.5], 0.0)
    scores = shift + 0.5 * random.normal(size=30)[blocks] + random.normal(size=750)
    split = Split("study", [], [], Shown(np.zeros((750, 1, 1)), kinds, blocks), Calibration(), 0.05)
    return split, Judged("toy", TOGETHER, scores, 1.5)


def test_intervals_of_areas_shares_and_mixtures_cover_over_runs() -> None:
    sd = np.sqrt(1.25)
    areas = [float(stats.norm.cdf(shift / (sd * np.sqrt(2)))) for shift in (2.0, 0.5)]
    alarms = float(stats.norm.sf(1.5 / sd))
    hits = float(np.mean(stats.norm.sf((1.5 - np.array([2.0, 0.5])) / sd)))
    inside = []
    for seed in range(60):
        split, one = study(seed)
        figures = Figures(split, resamples=100)
        _, sensitivity, score = figures.mixed(one, 0.13)
        found = (figures.false_alarms(one), figures.sensitivity(one), sensitivity, score)
        true = (alarms, hits, hits, f1(hits, alarms, 0.13))
        inside.append([low <= value <= high for (_, low, high), value in zip(found, true, strict=True)])
    assert np.mean(inside, axis=0) == pytest.approx(np.full(4, 0.92), abs=0.08)
    split, one = study(0)
    assert Figures(split, 50).area(one).value == pytest.approx(np.mean(areas), abs=0.06)  # both kinds count alike


def test_a_method_gains_nothing_on_itself_and_something_on_a_worse_one() -> None:
    split, one = study(0)
    noisy = one._replace(scores=one.scores + np.random.default_rng(9).normal(0, 3, 750))
    figures = Figures(split, resamples=100)
    assert figures.gain(one, one)[:] == (0.0, 0.0, 0.0)
    assert figures.gain(one, noisy).low > 0
    assert figures.gain(noisy, one).high < 0


def test_the_mixture_is_what_counting_frames_in_that_mixture_gives() -> None:
    counted = performance(Counts(anomalous_flagged=91, anomalous_passed=39, normal_flagged=87, normal_passed=783))
    assert f1(0.7, 0.1, 0.13) == pytest.approx(counted.f1)


def test_tables_have_a_row_for_every_score_and_published_figures_beside_them() -> None:
    split = toy_split(toy(50, 3, beside=30.0), toy(50, 2))
    judged = judge(split, [pca(2, split.rate), mean_intensity()], quiet)
    figures = Figures(split, resamples=20)
    text = markdown(overview(figures, judged))
    assert text.count("\n| ") == 2 + 4
    assert "| PCA | Q | 1.000 [0.9" in text
    assert "0.954" in markdown(mixture(figures, judged))


def test_tables_are_put_between_their_markers_again_and_again() -> None:
    document = "# Title\n\n<!-- begin one -->\nold\n<!-- end one -->\nafter\n"
    once = replaced(document, "one", "new")
    assert once == "# Title\n\n<!-- begin one -->\n\nnew\n<!-- end one -->\nafter\n"
    assert replaced(once, "one", "new") == once
    with pytest.raises(ValueError, match="no place for two"):
        replaced(document, "two", "new")


def test_a_variant_is_a_name_and_keys_of_the_configuration() -> None:
    assert variant(["small", "latent=8", "seed=3"]) == ("small", {"latent": 8, "seed": 3})
