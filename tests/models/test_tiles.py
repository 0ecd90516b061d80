"""Tiles cover an image and stay in it; images score as the worst of their tiles, each scored as a frame."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calibration import charts
from models import scorer as scorers
from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparation import Preparation
from models.scorer import Scorer
from models.scores import CHARTS, Scores
from models.tensors import ChartParameters
from models.tiles import Tiling, random_tiles
from models.trained import Trained, scorer_of
from models.training import latents_and_residuals

SIDE, OVERLAP, LATENT = 20, 4, 5
TILING = Tiling(50, 71, SIDE, OVERLAP)

tilings = st.builds(
    lambda side, overlap, height, width: Tiling(side + height, side + width, side, int(overlap * side)),
    st.integers(2, 40),
    st.floats(0, 0.75),
    st.integers(0, 150),
    st.integers(0, 150),
)


def images_of(count: int, seed: int = 0, dtype: str = "uint8") -> npt.NDArray[np.generic]:
    random = np.random.default_rng(seed)
    return random.integers(60, 140, (count, TILING.height, TILING.width)).astype(dtype)


def tiles_one_by_one(image: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    return np.stack([image[top : top + SIDE, left : left + SIDE] for top, left in TILING.corners])


@pytest.fixture(scope="module")
def trained() -> Trained:
    network = fresh(SIDE, SIDE, Architecture(LATENT), seed=0)
    return Trained(network, Preparation(SIDE, SIDE, 100.0, 23.0), ())


@pytest.fixture(scope="module")
def parameters(trained: Trained) -> ChartParameters:
    tiles = random_tiles(images_of(30, 9), SIDE, 300)
    return ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, tiles))[:7])


@pytest.fixture(scope="module")
def scorer(trained: Trained, parameters: ChartParameters) -> Scorer:
    return scorer_of(trained, parameters, tiling=TILING)


def assert_alike(found: Scores, expected: Scores) -> None:
    for name in ("latent", *CHARTS):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-4, abs=1e-4), name
    assert np.array_equal(found.where, expected.where)


@given(tilings)
def test_every_pixel_is_covered_and_no_tile_leaves_the_image(tiling: Tiling) -> None:
    covered = np.zeros((tiling.height, tiling.width), bool)
    for top, left in tiling.corners:
        assert covered[top : top + tiling.side, left : left + tiling.side].shape == (tiling.side, tiling.side)
        covered[top : top + tiling.side, left : left + tiling.side] = True
    assert covered.all()
    assert len(tiling.corners) == tiling.count == len({tuple(corner) for corner in tiling.corners.tolist()})


@given(tilings, st.data())
def test_a_spot_no_larger_than_the_overlap_lies_wholly_in_some_tile(tiling: Tiling, data: st.DataObject) -> None:
    spot = max(tiling.overlap, 1)
    row = data.draw(st.integers(0, tiling.height - spot))
    column = data.draw(st.integers(0, tiling.width - spot))
    inside = (tiling.corners <= [row, column]) & (tiling.corners + tiling.side >= [row + spot, column + spot])
    assert inside.all(axis=1).any()


@given(tilings)
def test_every_pixel_belongs_to_one_tile_that_holds_it(tiling: Tiling) -> None:
    for edges, starts, length in zip(
        tiling.edges, (tiling.tops, tiling.lefts), (tiling.height, tiling.width), strict=True
    ):
        assert (edges[0], edges[-1]) == (0, length)
        assert (np.diff(edges) > 0).all()
        assert (edges[:-1] >= starts).all()
        assert (edges[1:] <= starts + tiling.side).all()


@settings(max_examples=30)
@given(tilings)
def test_tiles_of_an_image_together_are_the_image(tiling: Tiling) -> None:
    image = np.random.default_rng(0).random((tiling.height, tiling.width), np.float32)
    tiles = tiling.cut(image[None], 0, tiling.count)
    assert np.array_equal(tiling.together(tiles), image)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_cut_gives_the_tiles_of_all_images_in_their_order_whatever_the_type(dtype: str) -> None:
    images = images_of(3, 1, dtype)
    expected = np.concatenate([tiles_one_by_one(image) for image in images])
    cuts = [0, 1, 17, TILING.count + 3, 3 * TILING.count + 50]
    parts = [TILING.cut(images, first, last) for first, last in itertools.pairwise(cuts)]
    assert np.array_equal(np.concatenate(parts), expected)


@settings(max_examples=30)
@given(tilings, st.data())
def test_the_tiles_around_a_pixel_are_those_that_show_it(tiling: Tiling, data: st.DataObject) -> None:
    row, column = data.draw(st.integers(0, tiling.height - 1)), data.draw(st.integers(0, tiling.width - 1))
    image = np.zeros((1, tiling.height, tiling.width), np.uint8)
    image[0, row, column] = 1
    shows = tiling.cut(image, 0, tiling.count).any(axis=(1, 2))
    assert tiling.around(np.array([row, column], np.int16)).tolist() == np.flatnonzero(shows).tolist()
    for outside in ([-1, -1], [-1, column], [tiling.height, column]):
        assert tiling.around(np.array(outside)).tolist() == []


@pytest.mark.parametrize(
    ("size", "side", "overlap", "told"),
    [((19, 40), 20, 4, "19 x 40 pixels are smaller than a tile of 20"), ((40, 40), 20, 20, "cannot overlap by 20")],
)
def test_tiles_that_do_not_fit_are_refused(size: tuple[int, int], side: int, overlap: int, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Tiling(*size, side, overlap)


def test_an_image_as_large_as_a_tile_is_one() -> None:
    assert Tiling(20, 20, 20, 4).corners.tolist() == [[0, 0]]


class TestRandomTiles:
    def test_each_image_gives_as_many_at_places_of_its_own(self) -> None:
        images = np.arange(4)[:, None, None] * 1000 + np.arange(900).reshape(30, 30)[None]
        tiles = random_tiles(images, 10, 80)
        assert tiles.shape == (80, 10, 10)
        assert np.array_equal(np.bincount(tiles[:, 0, 0] // 1000), [20] * 4)
        assert len(np.unique(tiles[:, 0, 0])) > 60
        steps = tiles - tiles[:, :1, :1]
        assert (steps == steps[0]).all(), "each is a piece of an image as it stands there"

    def test_the_same_seed_gives_the_same_tiles(self) -> None:
        first, again, other = (random_tiles(images_of(2), 20, 30, seed) for seed in (1, 1, 2))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)

    def test_small_images_give_no_more_than_they_hold(self) -> None:
        assert len(random_tiles(np.zeros((2, 40, 40), np.uint8), 20, 10_000)) == 2 * 4 * 4

    def test_every_image_gives_one_at_least(self) -> None:
        assert len(random_tiles(np.zeros((9, 40, 40), np.uint8), 20, 3)) == 9

    def test_without_images_there_are_none(self) -> None:
        with pytest.raises(ValueError, match="no images to take tiles of"):
            random_tiles(np.zeros((0, 40, 40), np.uint8), 20, 3)


def test_an_image_scores_as_the_worst_of_its_tiles(
    trained: Trained, parameters: ChartParameters, scorer: Scorer
) -> None:
    images = images_of(3, 2)
    plain, found = scorer_of(trained, parameters), scorer(images)
    for index, image in enumerate(images):
        tiles = plain(tiles_one_by_one(image))
        for chart in CHARTS:
            assert getattr(found, chart)[index] == pytest.approx(getattr(tiles, chart).max(), rel=1e-4)
        worst = tiles.local.argmax()
        assert found.where[index].tolist() == (tiles.where[worst] + TILING.corners[worst]).tolist()
        assert found.latent[index] == pytest.approx(tiles.latent[worst], rel=1e-3, abs=1e-3)


@settings(max_examples=25, deadline=None)
@given(row=st.integers(0, 48), column=st.integers(0, 69))
def test_a_defect_anywhere_is_found_where_it_is(scorer: Scorer, row: int, column: int) -> None:
    sound = images_of(1, 3)
    marred = sound.copy()
    marred[0, row : row + 2, column : column + 2] = 255
    found = scorer(marred)
    assert found.local[0] > 2 * scorer(sound).local[0]
    assert np.abs(found.where[0] - [row + 0.5, column + 0.5]).max() <= 2


def test_scores_do_not_depend_on_the_chunks(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    images = images_of(3, 4)
    whole = scorer(images)
    monkeypatch.setattr(scorers, "TILES", 7)
    assert_alike(scorer(images), whole)


def test_it_tells_of_every_chunk_of_tiles(scorer: Scorer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorers, "TILES", 5)
    beats: list[int] = []
    scorer(images_of(2), lambda: beats.append(1))
    assert len(beats) >= 2 * TILING.count // 5


def test_no_images_give_empty_scores(scorer: Scorer) -> None:
    scores = scorer(images_of(0))
    assert scores.latent.shape == (0, LATENT)
    assert scores.where.shape == (0, 2)


def test_a_pixel_that_is_not_finite_spoils_its_own_image_only(scorer: Scorer) -> None:
    images = images_of(2, 5, "float32")
    expected = scorer(images[1:])
    images[0, 33, 44] = np.nan
    found = scorer(images)
    assert not np.isfinite([found.s2[0], found.local[0]]).any()
    assert_alike(Scores(*(one[1:] for one in found)), expected)


def test_stored_tensors_make_the_same_tiled_scorer(scorer: Scorer) -> None:
    again = Scorer(scorer.tensors(), TILING.height, TILING.width)
    assert (again.height, again.width, again.latent, again.tiling) == (TILING.height, TILING.width, LATENT, TILING)
    for one, other in zip(scorer(images_of(2)), again(images_of(2)), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="smaller than a tile"):
        Scorer(scorer.tensors(), 19, 40)


def test_images_of_another_size_are_refused(scorer: Scorer) -> None:
    with pytest.raises(ValueError, match=r"frames \(n, 50, 71\)"):
        scorer(np.zeros((1, SIDE, SIDE), np.uint8))
