"""The pure parts of `make frontier`: which networks lie on the frontier, what is remembered, tables and picture."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import json, structs, to_builtins

from calibration.evaluation import Estimate
from models.autoencoder import Convolutional, operations
from monitor.config import Calibration
from tests.benchmarks.document import replaced
from tests.benchmarks.evaluate import simulated
from tests.benchmarks.evaluate.methods import TOGETHER
from tests.benchmarks.frontier import lessons, studies
from tests.benchmarks.frontier.__main__ import COMPARISONS
from tests.benchmarks.frontier.networks import (
    DEFAULT,
    OF_MELT_POOLS,
    OF_STEM_IMAGES,
    Candidate,
    configured,
    network_of,
)
from tests.benchmarks.frontier.picture import draw
from tests.benchmarks.frontier.points import Point, Training, mean, on_frontier
from tests.benchmarks.frontier.sweep import ROOMS, Memory, Trained, fingerprint, point
from tests.benchmarks.frontier.tables import by_latent, by_training, every_network, spread

BASE = Calibration(max_steps=20, binning=1, orientation="none")
SVG = "{http://www.w3.org/2000/svg}"


def made(name: str, operations: int, *values: float, latent: int = 32) -> Point:
    area = mean([Estimate(value, value - 0.01, value + 0.01) for value in values])
    areas, found = {"t2": Estimate(0.5, 0.4, 0.6), TOGETHER: area}, Estimate(0.25, 0.125, 0.5)
    settings = Calibration(latent=latent, binning=1, orientation="none")
    return Point(name, settings, (16, 32), 4, operations, 100.0, areas, found, Estimate(0.01, 0.0, 0.02), values)


FEW = [
    made(DEFAULT, 1_500_000, 0.95, 0.97),
    made("lean & quick", 500_000, 0.93),
    made("latent 8", 1_400_000, 0.92, latent=8),
    made("wide", 6_000_000, 0.96),
    made("wider", 9_000_000, 0.99),
]


WAYS = [(DEFAULT, 0.90, 0.94), ("dimming 0", 0.90), ("variational", 0.93)]
CODE = "today's"
DOCUMENT = Path(__file__).parents[1] / "docs" / "networks.md"


def training(settings: Calibration, area: float = 0.9, study: str = "study") -> Training:
    areas = {TOGETHER: Estimate(area, area - 0.1, area + 0.1)}
    return Training(study=study, settings=settings, areas=areas, found=areas[TOGETHER], false_alarms=areas[TOGETHER])


def test_a_network_is_on_the_frontier_unless_another_is_cheaper_or_better_and_no_worse() -> None:
    assert on_frontier(FEW) == [True, True, False, False, True]
    same = [made("one", 100, 0.9), made("other", 100, 0.9), made("worse", 100, 0.8), made("dearer", 200, 0.9)]
    assert on_frontier(same) == [True, True, False, False]


@given(st.lists(st.tuples(st.integers(1, 20), st.integers(1, 20)), min_size=1, max_size=30))
def test_along_the_frontier_more_operations_mean_a_higher_area(pairs: list[tuple[int, int]]) -> None:
    points = [made(str(index), cost, gain / 20) for index, (cost, gain) in enumerate(pairs)]
    best = on_frontier(points)
    frontier = sorted({(cost, gain) for (cost, gain), lies in zip(pairs, best, strict=True) if lies})
    assert frontier
    gains = [gain for _, gain in frontier]
    assert gains == sorted(set(gains))
    for (cost, gain), lies in zip(pairs, best, strict=True):
        assert lies or any(c <= cost and g >= gain for c, g in frontier)


def test_a_network_without_an_area_is_named() -> None:
    empty = made("empty", 1, 0.5)._replace(areas={TOGETHER: Estimate(None, 0.0, 1.0)})
    with pytest.raises(ValueError, match="empty has no AUROC"):
        on_frontier([*FEW, empty])


def test_several_trainings_count_as_their_mean_and_are_no_surer_for_it() -> None:
    assert mean([Estimate(0.5, 0.25, 0.75), Estimate(0.75, 0.5, 1.0)]) == (0.625, 0.375, 0.875)
    assert mean([Estimate(None, 0.0, 1.0), Estimate(0.5, 0.4, 0.6)]).value is None
    assert FEW[0].area.value == pytest.approx(0.96)
    assert FEW[0].spread == pytest.approx(0.02)


def test_the_table_has_every_network_by_operations_and_marks_default_and_frontier() -> None:
    _, _, *rows = every_network(FEW).splitlines()
    assert [row.split(" | ")[0].strip("| *") for row in rows] == ["lean & quick", "latent 8", DEFAULT, "wide", "wider"]
    assert [row.endswith("| yes |") for row in rows] == [True, False, True, False, True]
    assert rows[2].startswith(
        f"| **{DEFAULT}** | 4 | 16 32 | all | 32 | 1 | none | 1.50 | 100 | 0.960 [0.950, 0.970] |"
    )


def test_the_table_of_latents_holds_what_differs_from_the_default_by_its_latent_alone() -> None:
    grouped = made("groups of 8", 1, 0.9, latent=16)
    changed = configured(BASE, Candidate("groups of 8", {"network": {"group": 8}}), 0)
    _, _, *rows = by_latent([FEW[0], FEW[2], grouped._replace(settings=changed)]).splitlines()
    assert [row.split(" | ")[0] for row in rows] == ["| 8", "| 32"]
    assert "0.9500, 0.9700, so 0.0200 between" in spread(FEW[0].values)


def test_the_picture_shows_every_network_names_the_default_and_stays_inside() -> None:
    drawn = ElementTree.fromstring(draw(FEW, "toy <frames>"))
    _, _, width, height = map(float, drawn.attrib["viewBox"].split())
    dots = drawn.findall(f".//{SVG}circle")
    assert len(dots) == len(FEW)
    assert all(0 < float(dot.attrib["cx"]) < width and 0 < float(dot.attrib["cy"]) < height for dot in dots)
    said = [text.text for text in drawn.findall(f".//{SVG}text")]
    assert {"toy <frames>", DEFAULT, "lean & quick", "wider"} <= set(said)
    across = {dot[0].text.split(":")[0]: float(dot.attrib["cx"]) for dot in dots}
    assert across["lean & quick"] < across["latent 8"] < across[DEFAULT] < across["wide"] < across["wider"]
    assert all(np.isfinite(float(line.attrib[end])) for line in drawn.iter(f"{SVG}line") for end in ("x1", "y2"))


ALIGNED = Calibration(max_steps=20, binning=2, orientation="align")


@pytest.mark.parametrize(
    ("networks", "base", "side"),
    [
        (OF_MELT_POOLS, ALIGNED, studies.POOL_PX),
        (OF_STEM_IMAGES, BASE, studies.STEM_PX),
        (lessons.OF_MELT_POOLS, ALIGNED, studies.POOL_PX),
        (lessons.OF_STEM_IMAGES, BASE, studies.STEM_PX),
    ],
    ids=["melt pools", "STEM images", "trainings on melt pools", "trainings on STEM images"],
)
def test_every_network_of_the_sweep_can_be_built_and_has_a_name_of_its_own(
    networks: tuple[Candidate, ...], base: Calibration, side: int
) -> None:
    assert networks[0] == Candidate(DEFAULT, {}, 3)
    assert len({one.name for one in networks}) == len(networks)
    all_settings = [configured(base, one, 0) for one in networks]
    assert len({str(settings) for settings in all_settings}) == len(networks)
    for settings in all_settings:
        assert operations(network_of(settings, side, side)) > 0


def test_a_point_tells_what_its_network_is_made_of_for_frames_of_this_size() -> None:
    candidate = Candidate("half", {"network": {"channels": [8, 16, 32, 32]}}, 2)
    trainings = [training(configured(BASE, candidate, seed), area) for seed, area in ((0, 0.8), (1, 0.9))]
    found = point(Trained(candidate, trainings), 64, 64, 12.5)
    network = network_of(trainings[0].settings, 64, 64)
    assert isinstance(network, Convolutional)
    assert (found.channels, found.stem_px, found.operations) == ((8, 16), 4, operations(network))
    assert found.values == (0.8, 0.9)
    linear = Candidate("linear", {"network": {"linear": True}})
    flat = point(Trained(linear, [training(configured(BASE, linear, 0))]), 64, 64, 1.0)
    assert (flat.channels, flat.stem_px, flat.operations) == ((), 0, 2 * 64 * 64 * 32)


@pytest.mark.parametrize(
    ("ways", "base"), [(lessons.OF_MELT_POOLS, ALIGNED), (lessons.OF_STEM_IMAGES, BASE)], ids=["melt pools", "STEM"]
)
def test_ways_of_training_leave_the_network_and_what_it_sees_in_detail_alone(
    ways: tuple[Candidate, ...], base: Calibration
) -> None:
    for one in ways:
        settings = configured(base, one, 0)
        assert (settings.network, settings.latent, settings.binning) == (base.network, base.latent, base.binning)
        assert settings.loss == "squared" or settings.orientation != "align"  # aligned frames are no counts


def test_the_table_of_trainings_shows_changes_beside_what_seeds_of_the_default_change() -> None:
    ways = [Trained(Candidate(name, {}), [training(BASE, area) for area in areas]) for name, *areas in WAYS]
    header, _, *rows = by_training(ways).splitlines()
    assert header.endswith("| change of AUROC (default's seeds: 0.0400) |")
    assert [row.split(" | ")[0].strip("| ") for row in rows] == [f"**{DEFAULT}**", "dimming 0", "variational"]
    assert rows[0].startswith(f"| **{DEFAULT}** | 2 | 0.920 [0.820, 1.020] |")
    assert [row.split(" | ")[-1].strip("| ") for row in rows] == ["", "-0.0200", "+0.0100"]


def test_trainings_are_remembered_by_their_study_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "trainings.json"
    settings = configured(BASE, Candidate("linear", {"network": {"linear": True}}), 1)
    Memory(path, CODE).add(training(settings))
    again = Memory(path, CODE)
    assert again.find("study", settings) == structs.replace(training(settings), code=CODE)
    assert again.find("another study", settings) is None
    assert again.find("study", configured(BASE, Candidate(DEFAULT, {}), 1)) is None
    assert list(tmp_path.iterdir()) == [path]
    assert Memory(None, CODE).find("study", settings) is None


def test_what_other_code_trained_is_kept_but_not_taken_for_todays(tmp_path: Path) -> None:
    path = tmp_path / "trainings.json"
    Memory(path, CODE).add(training(BASE, 0.8))
    changed = Memory(path, "changed")
    assert changed.find("study", BASE) is None
    changed.add(training(BASE, 0.7))
    areas = {code: Memory(path, code).find("study", BASE).areas[TOGETHER].value for code in (CODE, "changed")}
    assert areas == {CODE: 0.8, "changed": 0.7}


def test_a_training_remembered_without_its_code_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "trainings.json"
    unmarked = to_builtins(training(BASE))
    del unmarked["code"]
    path.write_bytes(json.encode([unmarked]))
    assert Memory(path, CODE).find("study", BASE) is None


def test_the_fingerprint_changes_with_contents_and_names_of_sources_and_nothing_else(tmp_path: Path) -> None:
    room = tmp_path / "models"
    room.mkdir()
    (room / "training.py").write_text("steps = 1\n")
    (room / "losses.py").write_text("weight = 2\n")
    before = fingerprint([room])
    (room / "notes.md").write_text("no source\n")
    assert fingerprint([room]) == before
    (room / "training.py").write_text("steps = 2\n")
    changed = fingerprint([room])
    (room / "training.py").rename(room / "lessons.py")
    assert len({before, changed, fingerprint([room])}) == 3


def test_the_sources_of_a_training_are_those_of_networks_and_limits() -> None:
    assert [room.name for room in ROOMS] == ["models", "calibration"]
    assert all((room / source).is_file() for room, source in zip(ROOMS, ("training.py", "limits.py"), strict=True))


def test_every_comparison_has_a_place_in_the_document() -> None:
    document = DOCUMENT.read_text()
    for name in COMPARISONS:
        assert replaced(document, name, "a table").count("a table") == 1


def test_no_seed_of_the_sweep_is_one_that_evaluate_judges() -> None:
    ours = [studies.MELT_POOL, studies.STEM]
    theirs = [simulated.MELT_POOL, simulated.STEM, simulated.SANITY]
    judged = {seed for study in theirs for seed in study.judged_seeds}
    for study in ours:
        roles = [set(study.train_seeds), set(study.limit_seeds), set(study.judged_seeds)]
        assert not judged & set.union(*roles)
        assert sum(map(len, roles)) == len(set.union(*roles))
