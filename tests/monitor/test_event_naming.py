"""Events are named by the kinds in shared memory, and go unnamed where nothing honest can be said."""

import logging

import numpy as np
import pytest
from kind_examples import BUNDLE, shared_kinds

from models.scorer import Scorer
from models.taxonomy.embedding import embed
from models.tiles import Tiling
from models.trained import scorer_of
from monitor.shared import Arrays
from monitor.taxonomy import table as tables
from monitor.taxonomy.naming import EventNamer
from monitor.taxonomy.table import Table
from monitor.types import Pixels
from tests.models.step_examples import Example, example

UP, DOWN, ELSEWHERE = 0, 1, 2


@pytest.fixture(scope="module")
def shown() -> Example:
    return example()


@pytest.fixture(scope="module")
def frames(shown: Example) -> Pixels:
    """A spot at the top, one at the bottom, and a band across."""
    frames = np.repeat(shown.frames[:1], 3, axis=0)
    frames[UP, 4:8, 10:14] = 255
    frames[DOWN, 28:32, 36:40] = 255
    frames[ELSEWHERE, :, 20:30] = 255
    return frames


def points_of(scorer: Scorer, frames: Pixels) -> np.ndarray:
    found = scorer.deviations(frames)
    return embed(found.latent, found.residual, placed=False)


def table_of(points: np.ndarray, bundle: str = BUNDLE) -> Table:
    """A kind about each of the first two points."""
    return Table(bundle, (4, 7), ("spot above", ""), (None, "critical"), points[:2], np.full(2, 0.2))


@pytest.fixture
def kinds() -> Arrays:
    return shared_kinds()


def test_an_event_has_the_nearest_kind_and_is_unknown_beyond_all_of_them(
    shown: Example, frames: Pixels, kinds: Arrays
) -> None:
    scorer = shown.scorer
    namer = EventNamer(scorer, kinds, BUNDLE)
    assert namer(frames[UP]) is None, "there are no kinds yet"
    tables.write(kinds, table_of(points_of(scorer, frames)))
    up, down = namer(frames[UP]), namer(frames[DOWN])
    assert up is not None
    assert down is not None
    assert (up.id, up.name, down.id, down.name) == (4, "spot above", 7, "kind 7")
    assert up.distance == pytest.approx(0.0, abs=1e-3)
    assert namer(frames[ELSEWHERE]) is None
    assert namer.priorities == {"kind 7": "critical"}


def test_names_are_those_of_the_latest_table(shown: Example, frames: Pixels, kinds: Arrays) -> None:
    scorer = shown.scorer
    table, namer = table_of(points_of(scorer, frames)), EventNamer(scorer, kinds, BUNDLE)
    for name in ("splash", "spatter"):
        tables.write(kinds, table._replace(names=(name, "")))
        found = namer(frames[UP])
        assert found is not None
        assert found.name == name


def test_priorities_of_kinds_are_those_of_now_though_no_event_was_named_since(
    shown: Example, frames: Pixels, kinds: Arrays
) -> None:
    namer = EventNamer(shown.scorer, kinds, BUNDLE)
    assert namer.priorities == {}
    tables.write(kinds, table_of(points_of(shown.scorer, frames)))
    assert namer.priorities == {"kind 7": "critical"}


def test_kinds_of_another_bundle_name_nothing(shown: Example, frames: Pixels, kinds: Arrays) -> None:
    scorer = shown.scorer
    namer, points = EventNamer(scorer, kinds, BUNDLE), points_of(scorer, frames)
    tables.write(kinds, table_of(points))
    assert namer(frames[UP]) is not None
    tables.write(kinds, table_of(points, "cd" * 32))
    assert namer(frames[UP]) is None
    assert namer.priorities == {}


def test_what_goes_wrong_is_logged_once_and_ends_nothing(
    shown: Example, frames: Pixels, kinds: Arrays, caplog: pytest.LogCaptureFixture
) -> None:
    scorer = shown.scorer
    namer, points = EventNamer(scorer, kinds, BUNDLE), points_of(scorer, frames)
    tables.write(kinds, table_of(points[:, :-1]))  # of too few coordinates
    with caplog.at_level(logging.ERROR):
        namer.warm(frames[UP, 1:])  # of another size: nothing in here keeps the daemon from starting
        assert [namer(frame) for frame in frames] == [None] * 3
    assert len(caplog.records) == 1
    tables.write(kinds, table_of(points))
    assert namer(frames[UP]) is not None


def test_a_frame_that_is_not_finite_is_of_no_kind(shown: Example, frames: Pixels, kinds: Arrays) -> None:
    scorer = shown.scorer
    tables.write(kinds, table_of(points_of(scorer, frames)))
    spoilt = frames[UP].astype(np.float32)
    spoilt[3, 3] = np.nan
    assert EventNamer(scorer, kinds, BUNDLE)(spoilt) is None


def test_an_image_of_tiles_is_named_by_the_tile_at_its_peak_whether_that_is_told_or_not(kinds: Arrays) -> None:
    small = example((50, 50), count=4)
    scorer = scorer_of(small.trained, small.parameters, tiling=Tiling(90, 121, 50, 8))
    images = np.random.default_rng(0).integers(90, 110, (2, 90, 121)).astype(np.uint8)
    images[UP, 6:9, 8:11] = images[DOWN, 60:64, 100:112] = 255
    tables.write(kinds, table_of(points_of(scorer, images)))
    namer = EventNamer(scorer, kinds, BUNDLE)
    for image, number, where in zip(images, (4, 7), scorer(images).where, strict=True):
        found = namer(image, where)
        assert found is not None
        assert found.id == number
        assert found == namer(image)


def test_naming_leaves_the_scores_alone(shown: Example, frames: Pixels, kinds: Arrays) -> None:
    scorer = shown.scorer
    tables.write(kinds, table_of(points_of(scorer, frames)))
    namer, scores = EventNamer(scorer, kinds, BUNDLE), scorer(shown.frames)
    before = [column.copy() for column in scores]
    namer.warm(frames[DOWN])
    namer(frames[UP])
    assert all(map(np.array_equal, before, scores))
    assert all(map(np.array_equal, before, scorer(shown.frames)))
