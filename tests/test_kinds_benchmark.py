"""What the benchmark of kinds rests on: its halves, what it leaves out, its scores and tables."""

import os
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import adjusted_rand_score

from models.texture.embedding import fit_texture
from models.texture.scattering import Scattering
from tests.benchmarks.document import replaced
from tests.benchmarks.kinds.found import Found, judge
from tests.benchmarks.kinds.recorded import STEEL_KINDS, Crops, steel
from tests.benchmarks.kinds.studies import EACH_MOST, halves, thinned
from tests.benchmarks.kinds.tables import table_of
from tests.benchmarks.kinds_real import PLACES

SCENES = np.repeat([0, 1, 2, 3], [10, 30, 12, 9])
KINDS = np.array(["one", "other"])[np.arange(61) % 2]
CROPS = Crops(np.zeros((61, 4, 4)), np.zeros((61, 4, 4)), KINDS, SCENES)


def test_a_scene_is_in_one_half_and_the_halves_are_about_as_large() -> None:
    half = halves(SCENES)
    assert all(len(set(half[scene == SCENES].tolist())) == 1 for scene in range(4))
    assert sorted(np.bincount(half).tolist()) == [30, 31]


def test_no_scene_outweighs_another_by_its_frames() -> None:
    kept = thinned(CROPS, halves(SCENES) == 0, seed=0)
    for scene in range(4):
        for kind in ("one", "other"):
            assert ((SCENES[kept] == scene) & (KINDS[kept] == kind)).sum() <= EACH_MOST
    assert set(halves(SCENES)[kept].tolist()) == {0}
    assert kept.tolist() == sorted(set(kept.tolist()))


def test_kinds_that_lie_apart_are_found_and_those_that_do_not_are_not() -> None:
    random = np.random.default_rng(0)
    apart = random.normal(size=(61, 3)) + 20 * (KINDS == "one")[:, None]
    for one in judge("data", "as they are", "made up", apart, KINDS, seed=0):
        assert (one.ari, one.nmi) == pytest.approx((1, 1))
    for one in judge("data", "as they are", "made up", random.normal(size=(61, 3)), KINDS, seed=0):
        assert one.ari < 0.3


def test_a_table_gives_the_mean_over_seeds_and_its_range() -> None:
    found = [Found("steel-neu", "turned", "made up", "k-means", seed, ari, 0.5) for seed, ari in enumerate((0.2, 0.4))]
    assert "| steel-neu | turned | made up | 0.30 (0.20 to 0.40), 0.50 |  |  |" in table_of(found)


def test_the_document_has_a_place_for_every_table() -> None:
    text = (Path(__file__).parents[1] / "docs" / "taxonomy_embeddings.md").read_text()
    for place in PLACES.values():
        replaced(text, place, "")


@pytest.mark.skipif("FRAMEWATCH_DATA" not in os.environ, reason="FRAMEWATCH_DATA is not set: no recorded frames")
def test_surfaces_of_one_kind_lie_nearer_by_their_texture_than_by_their_pixels() -> None:
    frames, kinds = steel(quick=True)
    assert sorted(set(kinds.tolist())) == sorted(STEEL_KINDS)
    small = Scattering(side=64, scales=3, angles=4)
    embedded = {
        "texture": fit_texture(frames, small).embed(frames),
        "pixels": frames[:, ::8, ::8].reshape(len(frames), -1),
    }
    scores = {
        name: adjusted_rand_score(kinds, kinds[_neighbours(z.astype(np.float64))]) for name, z in embedded.items()
    }
    assert scores["texture"] > 0.5 > scores["pixels"]


def _neighbours(z: np.ndarray) -> np.ndarray:
    """Which other one lies nearest to each of *z* (n, p): (n,)."""
    distances = np.square(z[:, None] - z).sum(axis=2)
    np.fill_diagonal(distances, np.inf)
    return distances.argmin(axis=1)
