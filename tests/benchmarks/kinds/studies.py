"""Embeddings side by side: each data set, as it is and turned by chance."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA

from models.architecture import Architecture
from models.invariant.network import Plan
from models.invariant.training import InvariantSettings, train_invariant
from models.texture.agreement import fit_agreement
from models.texture.embedding import PLAIN
from models.texture.scattering import over_directions, scatter
from models.training import TrainingSettings, latents_and_residuals, train
from tests.benchmarks.kinds.found import Found, judge
from tests.benchmarks.kinds.recorded import Crops, graphene_crops, steel, stem_crops, stem_monitored

Floats = npt.NDArray[np.floating[Any]]
Embed = Callable[[Floats], Floats]

AS_THEY_ARE, TURNED = "as they are", "turned"
SIZE: Final = 8  # of the embeddings of crops
STEPS: Final = 600  # of a network that sees past angle and offset
PLAIN_STEPS: Final = 800
EACH_MOST: Final = 5  # crops of one kind and scene that are clustered: frames of a movie are near-duplicates
TEXTURE_SIZE: Final = 16
STEEL_BINNING: Final = 4  # of the autoencoder's frames
SHARE: Final = 0.8  # of the frames of steel-neu in each repetition


def silent(done: int, steps: int, loss: float) -> None:
    pass


def components(crops: Floats, size: int = SIZE) -> Embed:
    """Principal components of pixels."""
    fitted = PCA(size, random_state=0).fit(crops.reshape(len(crops), -1))
    return lambda other: np.asarray(fitted.transform(other.reshape(len(other), -1)))


def autoencoder(crops: Floats, seed: int, steps: int, latent: int = SIZE, binning: int = 1) -> Embed:
    """The latent of an autoencoder as the monitor has them, of *crops*."""
    settings = TrainingSettings(Architecture(latent=latent), epochs=10_000, max_steps=steps, seed=seed, binning=binning)
    fitted = train(crops, settings, silent)
    return lambda other: np.concatenate([z for z, _ in latents_and_residuals(fitted, other)])


def invariant(crops: Floats, seed: int, steps: int, own_contrast: bool) -> Embed:
    """The content of a network that sees past angle and offset."""
    settings = InvariantSettings(
        Plan(content=SIZE), own_contrast=own_contrast, epochs=10_000, max_steps=steps, seed=seed
    )
    return train_invariant(crops, settings, silent).embed


def stem(seeds: int, quick: bool) -> Iterator[Found]:
    """Residuals of stem-sto around their peak. The invariant network knows the crops as they are, and no turned one."""
    monitored = stem_monitored(quick)
    for seed in range(seeds):
        crops = stem_crops(monitored, seed)
        yield from _judged("stem-sto", AS_THEY_ARE, "latent of the whole frame", crops.whole, crops, seed)
        yield from _side_by_side("stem-sto", crops, seed, quick)


def _side_by_side(data: str, crops: Crops, seed: int, quick: bool) -> Iterator[Found]:
    steps, plain = (20, 20) if quick else (STEPS, PLAIN_STEPS)
    upright = invariant(crops.as_they_are, seed, steps, own_contrast=False)
    for name, pixels in ((AS_THEY_ARE, crops.as_they_are), (TURNED, crops.turned)):
        yield from _judged(data, name, "principal components", components(pixels)(pixels), crops, seed)
        yield from _judged(data, name, "autoencoder", autoencoder(pixels, seed, plain)(pixels), crops, seed)
        yield from _judged(data, name, "invariant", upright(pixels), crops, seed)


def _judged(data: str, name: str, embedding: str, z: Floats | None, crops: Crops, seed: int) -> list[Found]:
    return [] if z is None else judge(data, name, embedding, z, crops.kinds, seed)


def graphene(seeds: int, quick: bool) -> Iterator[Found]:
    """Two halves of the scenes of graphene-si: embeddings know one, and what clusters is the other, thinned out.

    Once by class, once by the number of silicon atoms, which is what a person sees at a glance.
    """
    steps, plain = (20, 20) if quick else (STEPS, PLAIN_STEPS)
    for seed in range(seeds):
        crops = graphene_crops(seed)
        half = halves(crops.scenes)
        for known in (0, 1):
            fitted, shown = half == known, thinned(crops, half != known, seed)
            upright = invariant(crops.as_they_are[fitted], seed, steps, own_contrast=True)
            for name, pixels in ((AS_THEY_ARE, crops.as_they_are), (TURNED, crops.turned)):
                flat = _standard(pixels)
                found = {
                    "principal components": components(flat[fitted])(flat[shown]),
                    "autoencoder": autoencoder(flat[fitted], seed, plain)(flat[shown]),
                    "invariant": upright(pixels[shown]),
                }
                atoms = np.array([kind[:3] for kind in crops.kinds])
                for embedding, z in found.items():
                    yield from judge("graphene-si", name, embedding, z, crops.kinds[shown], seed)
                    yield from judge("graphene-si, number of atoms", name, embedding, z, atoms[shown], seed)


def halves(scenes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Which half each crop is in (n,): whole scenes, the largest first, each to the smaller half."""
    counts = np.bincount(scenes)
    side, load = np.zeros(len(counts), np.int64), [0, 0]
    for scene in np.argsort(-counts, kind="stable"):
        side[scene] = int(load[1] < load[0])
        load[side[scene]] += int(counts[scene])
    return side[scenes]


def thinned(crops: Crops, among: npt.NDArray[np.bool_], seed: int) -> npt.NDArray[np.int64]:
    """Indices of at most five crops of each kind and scene."""
    random = np.random.default_rng(seed)
    kept: list[int] = []
    for scene, kind in sorted(set(zip(crops.scenes[among].tolist(), crops.kinds[among].tolist(), strict=True))):
        there = np.flatnonzero(among & (crops.scenes == scene) & (crops.kinds == kind))
        kept += random.permutation(there)[:EACH_MOST].tolist()
    return np.array(sorted(kept))


def _standard(crops: Floats) -> npt.NDArray[np.float32]:
    """Each crop with mean 0 and standard deviation 1: frames of graphene-si were scaled each by itself."""
    mean, sd = crops.mean(axis=(1, 2), keepdims=True), crops.std(axis=(1, 2), keepdims=True)
    return ((crops - mean) / sd).astype(np.float32)


def textures(seeds: int, quick: bool) -> Iterator[Found]:
    """Frames of steel-neu by their texture; four fifths of them each time, by chance."""
    frames, kinds = steel(quick)
    scattered = scatter(frames, PLAIN)
    turned = over_directions(scattered, PLAIN)
    pixels = frames[:, ::STEEL_BINNING, ::STEEL_BINNING].astype(np.float32)
    latents = autoencoder(frames, 0, 20 if quick else PLAIN_STEPS, latent=2 * TEXTURE_SIZE, binning=STEEL_BINNING)
    plain = latents(frames)
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(len(frames))
        some, one, other = order[: int(SHARE * len(order))], order[::2], order[1::2]
        found = {
            "principal components": (some, components(pixels[some], TEXTURE_SIZE)(pixels[some])),
            "autoencoder": (some, plain[some]),
            "scattering": (some, _scattering(scattered[some])),
            "texture": (some, _agreed(scattered, some, some)),
            "texture, learned from other frames": (one, _agreed(scattered, other, one)),
            "texture, turned alike": (some, _agreed(turned, some, some)),
        }
        for embedding, (shown, z) in found.items():
            yield from judge("steel-neu", AS_THEY_ARE, embedding, z, kinds[shown], seed)


def _scattering(parts: Floats) -> Floats:
    """Principal components of what scattering gives, each number with standard deviation 1."""
    whole = parts.mean(axis=1)
    return components((whole - whole.mean(axis=0)) / whole.std(axis=0), TEXTURE_SIZE)(
        (whole - whole.mean(axis=0)) / whole.std(axis=0)
    )


def _agreed(parts: Floats, fitted: npt.NDArray[np.int64], shown: npt.NDArray[np.int64]) -> Floats:
    return fit_agreement(parts[fitted], TEXTURE_SIZE)(parts[shown])
