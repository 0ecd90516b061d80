"""Textures: what scattering does not see, and what parts of a frame agree on."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file
from scipy.ndimage import gaussian_filter
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score

from models.texture.agreement import fit_agreement
from models.texture.embedding import Texture, fit_texture, from_tensors, to_tensors
from models.texture.scattering import Scattering, scatter

SMALL = Scattering(side=64, scales=3, angles=4, parts=2)
WHOLE = SMALL._replace(parts=1)

WOVEN = {"fine": (1.0, 1.0), "rows": (0.5, 3.0), "columns": (3.0, 0.5)}
"""Smoothing of noise, pixels down and across."""


def woven(each: int, seed: int, side: int = 64) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Noise, smoothed in three ways and lit anyhow: *each* frames of every kind (n, side, side), and which (n,)."""
    random = np.random.default_rng(seed)
    kinds = np.repeat(np.arange(len(WOVEN)), each)
    smoothed = [gaussian_filter(random.normal(size=(side, side)), list(WOVEN.values())[kind]) for kind in kinds]
    frames = np.stack([frame / frame.std() for frame in smoothed])
    light, contrast = random.uniform(50, 150, (2, len(kinds), 1, 1))
    return (light + 0.2 * contrast * frames).astype(np.float32), kinds


@pytest.fixture(scope="module")
def learned() -> Texture:
    return fit_texture(woven(12, seed=0)[0], SMALL, size=4)


def test_textures_are_told_apart_in_any_light(learned: Texture) -> None:
    frames, kinds = woven(8, seed=1)
    found = KMeans(3, n_init=5, random_state=0).fit_predict(learned.embed(frames))
    plain = KMeans(3, n_init=5, random_state=0).fit_predict(frames.reshape(len(frames), -1))
    assert adjusted_rand_score(kinds, found) == 1.0
    assert adjusted_rand_score(kinds, plain) < 0.5


def test_light_and_contrast_make_no_difference() -> None:
    frames, _ = woven(1, seed=2)
    assert scatter(7 * frames + 1000, SMALL) == pytest.approx(scatter(frames, SMALL), abs=1e-3)


def test_a_texture_that_moves_along_hardly_changes() -> None:
    frames, _ = woven(1, seed=3, side=96)
    here, there = (scatter(part, WHOLE) for part in (frames[:, :64, :64], frames[:, 5:69, 7:71]))
    others = here.std(axis=0).mean()
    assert np.abs(here - there).mean() < 0.25 * others


def test_averages_of_parts_are_those_of_the_parts() -> None:
    frame = woven(1, seed=4)[0][1]
    flat = np.full((64, 64), frame.mean(), np.float32)
    flat[:32, :32] = frame[:32, :32]
    found = scatter(flat[None], SMALL)[0]  # (4, paths), row by row
    assert (found[0, :12] > found[3, :12] + 1).all(), "only the upper left shows anything"


def test_turned_averages_stay_when_a_frame_is_turned_and_plain_ones_do_not() -> None:
    frames, _ = woven(1, seed=5)
    quarter = np.rot90(frames, axes=(1, 2)).copy()
    turned = WHOLE._replace(turned=True)
    assert scatter(quarter, turned) == pytest.approx(scatter(frames, turned), abs=2e-2)
    assert np.abs(scatter(quarter, WHOLE) - scatter(frames, WHOLE)).max() > 0.5


@pytest.mark.parametrize("turned", [False, True])
def test_there_is_a_number_for_every_path(turned: bool) -> None:
    scattering = SMALL._replace(turned=turned)
    found = scatter(woven(1, seed=6)[0].astype(np.uint8), scattering)
    assert found.shape == (3, 4, scattering.paths)
    assert found.dtype == np.float32
    assert scattering.paths == (15 if turned else 60)


def test_a_wave_is_seen_by_the_wavelet_of_its_size_and_direction() -> None:
    row, column = np.mgrid[:64, :64]
    for scale, angle in ((0, 0), (1, 2), (2, 1)):
        k, turn = 3 * np.pi / 4 / 2**scale, angle * np.pi / 4
        wave = np.cos(k * (np.cos(turn) * column + np.sin(turn) * row)).astype(np.float32)
        first = scatter(wave[None], WHOLE)[0, 0, :12].reshape(3, 4)  # scale, angle
        assert np.unravel_index(first.argmax(), first.shape) == (scale, angle)


def test_large_frames_are_shrunk_and_oblong_ones_stay_oblong() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(size=(1, 64, 96)).astype(np.float32)
    assert scatter(frames, SMALL).shape == (1, 4, 60)
    assert scatter(frames.repeat(2, 1).repeat(2, 2), SMALL) == pytest.approx(scatter(frames, SMALL), abs=0.7)


def test_a_flat_frame_has_a_texture_too() -> None:
    assert np.isfinite(scatter(np.full((2, 64, 64), 9, np.uint8), SMALL)).all()


def test_what_parts_of_a_frame_differ_by_is_not_what_frames_are_told_apart_by() -> None:
    random = np.random.default_rng(0)
    frames = random.normal(size=(100, 1, 1)) * np.array([1.0, 0.0, 0.0])
    within = random.normal(size=(100, 4, 3)) * np.array([0.1, 5.0, 5.0])
    agreement = fit_agreement(frames + within, 1)
    assert abs(agreement.axes[0, 0]) > 10 * np.abs(agreement.axes[1:, 0]).max()
    found = agreement(frames + within)[:, 0]
    assert abs(np.corrcoef(found, frames[:, 0, 0])[0, 1]) > 0.99


def test_directions_come_by_how_much_frames_differ_in_units_of_what_parts_differ_by() -> None:
    random = np.random.default_rng(1)
    parts = random.normal(size=(300, 1, 3)) * np.array([1.0, 4.0, 2.0]) + random.normal(size=(300, 4, 3))
    spread = fit_agreement(parts, 3)(parts).var(axis=0)
    assert spread.tolist() == pytest.approx([16.25, 4.25, 1.25], rel=0.2)
    assert fit_agreement(parts, 8).axes.shape == (3, 3)


def test_more_numbers_than_frames_still_make_an_embedding() -> None:
    parts = np.random.default_rng(0).normal(size=(5, 2, 40))
    assert np.isfinite(fit_agreement(parts, 16)(parts)).all()
    assert np.isfinite(fit_agreement(np.zeros((5, 2, 4)), 2)(parts[..., :4])).all()


def test_what_was_fitted_survives_being_written_down(learned: Texture, tmp_path: Path) -> None:
    frames, _ = woven(1, seed=7)
    save_file(to_tensors(learned), tmp_path / "texture.safetensors")
    again = from_tensors(load_file(tmp_path / "texture.safetensors"))
    assert again.scattering == learned.scattering
    assert np.array_equal(again.embed(frames), learned.embed(frames))


def test_tensors_that_do_not_fit_are_refused(learned: Texture) -> None:
    tensors = to_tensors(learned)
    with pytest.raises(ValueError, match=r"agreement\.axes"):
        from_tensors({name: value for name, value in tensors.items() if name != "agreement.axes"})
    with pytest.raises(ValueError, match="60 paths"):
        from_tensors(tensors | {"agreement.mean": np.zeros(3, np.float32)})


FRAMES = np.zeros((3, 64, 64), np.float32)


@pytest.mark.parametrize(
    ("frames", "scattering", "says"),
    [
        (FRAMES[:, :15], SMALL, "16 pixels and more"),
        (FRAMES[0], SMALL, "16 pixels and more"),
        (FRAMES, SMALL._replace(side=8), "16 pixels and more"),
        (FRAMES, SMALL._replace(angles=0), "at least 1"),
        (FRAMES + np.nan, SMALL, "not finite"),
    ],
)
def test_unusable_frames_and_settings_are_refused(frames: npt.NDArray[Any], scattering: Scattering, says: str) -> None:
    with pytest.raises(ValueError, match=says) as refusal:
        scatter(frames, scattering)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(("shape", "size"), [((5, 1, 4), 2), ((1, 4, 4), 2), ((5, 4), 2), ((5, 4, 4), 0)])
def test_agreement_needs_parts_and_frames(shape: tuple[int, ...], size: int) -> None:
    with pytest.raises(ValueError, match=r"two frames|at least one"):
        fit_agreement(np.zeros(shape), size)
