"""Recorded anomalies by kind, from the folder that FRAMEWATCH_DATA names (docs/data.md)."""

import json
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

from models.invariant.crops import crops_at
from models.training import TrainingSettings, latents_and_residuals, train
from tests.benchmarks.evaluate.recorded import STEM_DEFECTS, folder, scenes

Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]

STEM_CROP_PX: Final = 32
STEM_PEAK_PX: Final = 3.0  # standard deviation of what the squared residual is smoothed by before its peak is taken
STEM_LEARNED: Final = 900  # crops that the monitor's network learns from; the second half of test.npy stops it
GRAPHENE_CROP_PX: Final = 80  # three silicon atoms and their neighbours
GRAPHENE_BINNED_PX: Final = 32
GRAPHENE_KINDS: Final = ("Si1C3", "Si1C4", "Si2C4", "Si2C5", "Si2C6", "Si3C6")  # those of more than one scene
STEEL_KINDS: Final = ("crazing", "inclusion", "patches", "pitted_surface", "rolled-in_scale", "scratches")
STEEL_TWICE: Final = "patches_105"  # the same pixels as patches_101


class Crops(NamedTuple):
    """Crops around anomalies, as they are and the same ones turned by chance, (n, s, s) each."""

    as_they_are: Floats
    turned: Floats
    kinds: npt.NDArray[np.str_]  # (n,)
    scenes: Ints  # (n,), from 0: neighbours in a movie share one
    whole: Floats | None = None  # (n, p) latents of the whole frames, where there is a network of normal ones


class Monitored(NamedTuple):
    """Anomalous frames as a monitor sees them."""

    latents: Floats  # (n, p)
    residuals: Floats  # (n, h, w)
    peaks: Floats  # (n, 2) row and column at which the residual is largest
    kinds: npt.NDArray[np.str_]


def stem_monitored(quick: bool) -> Monitored:
    """The defects of stem-sto by a network of normal crops."""
    held = folder("stem-sto")
    normal, others = np.load(held / "train.npy")[:STEM_LEARNED], np.load(held / "test.npy")[500:700]
    settings = TrainingSettings(max_steps=60 if quick else 1500)
    trained = train(normal, settings, lambda done, steps, loss: None, held=others)
    step = 10 if quick else 1
    frames = [np.load(held / f"defect_{kind}.npy")[::step] for kind in STEM_DEFECTS]
    kinds = np.repeat(STEM_DEFECTS, [len(part) for part in frames])
    pairs = latents_and_residuals(trained, np.concatenate(frames))
    latents, residuals = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    smooth = gaussian_filter(np.square(residuals), (0, STEM_PEAK_PX, STEM_PEAK_PX))
    rows_columns = np.unravel_index(smooth.reshape(len(smooth), -1).argmax(axis=1), smooth.shape[1:])
    return Monitored(latents, residuals, np.stack(rows_columns, axis=1).astype(float), kinds)


def stem_crops(monitored: Monitored, seed: int) -> Crops:
    """The residual around its peak, turned about it: the lattice, which would give the turn away, is not in it."""
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(monitored.kinds))
    plain, turned = (
        crops_at(monitored.residuals, monitored.peaks, STEM_CROP_PX, turns, "zeros") for turns in (None, angles)
    )
    return Crops(plain, turned, monitored.kinds, np.arange(len(angles)), monitored.latents)


def graphene_crops(seed: int) -> Crops:
    """Pixels around each defect of graphene-si, binned; turned about its middle, lattice and all.

    A defect of several silicon atoms is one crop around their middle; where a frame of a class of one atom holds
    several, each is a defect of its own.
    """
    held = folder("graphene-si")
    frames = np.load(held / "frames_u16.npz")["frames"]
    of_frames = scenes(frames)
    found = []
    for index, label in enumerate(json.loads((held / "labels.json").read_text())):
        atoms = np.array(label["si_xy"])[:, ::-1]  # row and column
        alone = label["class"].startswith("Si1")
        places = atoms if alone else [atoms.mean(axis=0)]
        found += [(index, place, label["class"]) for place in places]
    chosen = [one for one in found if one[2] in GRAPHENE_KINDS]
    index = np.array([one[0] for one in chosen])
    centres, kinds = np.stack([one[1] for one in chosen]), np.array([one[2] for one in chosen])
    angles = np.random.default_rng(seed).uniform(0, 2 * np.pi, len(kinds))
    plain, turned = (_binned(crops_at(frames[index], centres, GRAPHENE_CROP_PX, turns)) for turns in (None, angles))
    return Crops(plain, turned, kinds, of_frames[index])


def _binned(crops: Floats) -> Floats:
    pictures = (Image.fromarray(crop).resize((GRAPHENE_BINNED_PX,) * 2, Image.Resampling.BOX) for crop in crops)
    return np.stack([np.asarray(picture, np.float32) for picture in pictures])


def steel(quick: bool) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.str_]]:
    """Frames of steel-neu (n, 200, 200) and their kinds, without the one that is there twice."""
    held = folder("steel-neu")
    step = 15 if quick else 1
    names = [f"{kind}_{number}" for kind in STEEL_KINDS for number in range(1, 301, step)]
    names = [name for name in names if name != STEEL_TWICE]
    frames = np.stack([np.asarray(Image.open(held / f"{name}.jpg").convert("L")) for name in names])
    return frames, np.array([name.rpartition("_")[0] for name in names])
