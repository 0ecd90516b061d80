"""Every embedding makes the same points again once it was arrays and plain values."""

import json

import numpy as np
import pytest
from turned_glyphs import glyphs

from models import embeddings
from models.embeddings import at_peak, learn_invariant, learn_texture
from models.invariant.network import Plan
from models.invariant.training import InvariantSettings

QUICK = InvariantSettings(Plan(side=16, content=3, channels=4, hidden=16, waves=8), max_steps=4, pixels=16)


def silent(done: int, steps: int, loss: float) -> None:
    pass


def test_a_crop_has_the_peak_of_the_residual_in_its_middle() -> None:
    residuals = np.zeros((2, 40, 40), np.float32)
    residuals[0, 30, 12], residuals[1, 2, 38] = 9.0, -9.0
    crops = at_peak(residuals, 15)
    assert crops.shape == (2, 15, 15)
    assert np.abs(crops).reshape(2, -1).argmax(axis=1).tolist() == [7 * 15 + 7] * 2


def test_an_invariant_embedding_survives_being_arrays() -> None:
    residuals = glyphs(10, 24, seed=0)[0]
    learned = learn_invariant(residuals, QUICK, silent, crop_px=20)
    again = embeddings.read("invariant", json.loads(json.dumps(learned.plain)), learned.tensors)
    assert learned.of_residuals
    assert learned.size == 3
    assert np.array_equal(learned.embed(residuals), again.embed(residuals))
    assert np.array_equal(learned.embed(residuals[4:5])[0], learned.embed(residuals)[4])


def test_a_texture_survives_being_arrays() -> None:
    frames = np.random.default_rng(0).integers(0, 200, (20, 64, 64)).astype(np.uint8)
    learned = learn_texture(frames)
    again = embeddings.read("texture", dict(learned.plain), learned.tensors)
    found = again.embed(frames)
    assert not learned.of_residuals
    assert found.shape == (20, learned.size)
    assert np.array_equal(found, learned.embed(frames))


@pytest.mark.parametrize("what", ["invariant", "texture", "backbone", "something newer"])
def test_what_does_not_fit_is_refused_in_one_line(what: str) -> None:
    with pytest.raises(ValueError, match=r"\S") as refused:
        embeddings.read(what, {"crop_px": 32} if what == "invariant" else {}, {})
    assert "\n" not in str(refused.value)
