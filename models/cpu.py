"""Scores on the processor: compiled loops from pixels to scores, in one layout, and in between a `Pass`."""

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt
from llvmlite.binding import get_host_cpu_features

from models.architecture import Size
from models.compiled.network import pass_through
from models.compiled.prepare import prepare
from models.compiled.residual import score, window_shares
from models.plan import Plan
from models.preparation import LIGHT_CAP, ROUND, Alignment, Preparation
from models.scores import Deviations, Float32s, Pictures, Scores, joined
from models.tensors import ChartParameters

CHUNK_MIN: Final = 8
CHUNK_MAX: Final = 64  # frames a pass: each call costs the same few microseconds, however many they are ...
CHUNK_PIXELS: Final = 2**19  # ... while what a pass works on stays in the cache
SHARED: Final = 16  # frames that are worth handing to another thread


Bits = npt.NDArray[np.unsignedinteger]
"""Of float32, or the upper half of them, which are a bfloat16's."""


class Pass(Protocol):
    """A way through a network with a whitened code, for one thread at a time."""

    grid: Size  # rows and columns of patches
    patch_px: int  # a side
    center: Float32s  # (a, b, s * s), to be added to what is drawn

    def __call__(self, patches: Float32s) -> tuple[Float32s, Bits]:
        """Latents (n, p) of *patches* (n, a, b, s * s), and the bits of what is drawn of them, less the center."""


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32; without instructions for it, it is far slower."""
    features = get_host_cpu_features()
    return bool(features.get("avx512bf16") or features.get("amx-bf16"))


class CpuEngine:
    """Scores frames with as many threads as told, each of them a chunk at a time. For one caller at a time."""

    def __init__(
        self,
        preparation: Preparation,
        charts: ChartParameters,
        passing: Callable[[int], Pass],
        threads: int = 1,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        """*passing*: makes a thread's pass for so many frames at a time; *begin*: what further threads do first."""
        height, width = preparation.size
        self._chunk = min(max(CHUNK_PIXELS // (height * width), CHUNK_MIN), CHUNK_MAX)
        self._lanes = [_Lane(preparation, charts, passing(self._chunk), self._chunk) for _ in range(threads)]
        self._others = ThreadPoolExecutor(threads - 1, "score", begin) if threads > 1 else None

    def __call__(self, frames: npt.NDArray[Any], after_chunk: Callable[[], None]) -> Scores:
        """Scores of *frames* (n, h, w), one or more; *after_chunk* is called after each chunk of the calling thread."""
        shared = self._others is not None and len(frames) > SHARED
        each = min(self._chunk, SHARED) if shared else self._chunk
        work = Work(frames, each)
        others = [self._others.submit(work.share, lane) for lane in self._lanes[1:]] if self._others and shared else []
        try:
            work.share(self._lanes[0], after_chunk)
        finally:
            # Whatever happened: none may still read the frames. A thread that has not begun by now need not begin.
            wait([one for one in others if not one.cancel()])
        for one in others:
            if not one.cancelled():
                one.result()
        return work.scores()

    def deviations(self, frames: npt.NDArray[Any]) -> Deviations:
        """How *frames* (n, h, w) deviate from normal, in the calling thread. Only of engines that draw in float32."""
        found = [self._lanes[0].deviations(piece) for piece in self._pieces(frames)]
        return Deviations(*map(np.concatenate, zip(*found, strict=True)))

    def pictures(self, frames: npt.NDArray[Any]) -> Pictures:
        """What is seen and drawn of *frames* (n, h, w), one or more; likewise."""
        return joined([self._lanes[0].pictures(piece) for piece in self._pieces(frames)])

    def _pieces(self, frames: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
        for first in range(0, len(frames), self._chunk):
            yield _plain(frames[first : first + self._chunk])


class Work:
    """Pieces of a batch, which threads take one after the other: whoever is held up leaves more to the others."""

    def __init__(self, frames: npt.NDArray[Any], each: int) -> None:
        """*frames* (n, h, w), in pieces of *each*."""
        self._frames, self._each = frames, each
        count = -(-len(frames) // each)
        self._next = iter(range(count))  # that it gives each number once, the interpreter sees to
        self._found: list[Scores | None] = [None] * count

    def share(self, lane: Callable[[npt.NDArray[Any]], Scores], after_piece: Callable[[], None] = lambda: None) -> None:
        """Score pieces until none is left."""
        for index in self._next:
            piece = self._frames[index * self._each : (index + 1) * self._each]
            self._found[index] = lane(_plain(piece))  # a recording lies on disk: no more of it than this is copied
            after_piece()

    def scores(self) -> Scores:
        """Of all pieces together, once all were scored."""
        found = [one for one in self._found if one is not None]
        assert len(found) == len(self._found)
        return found[0] if len(found) == 1 else Scores(*map(np.concatenate, zip(*found, strict=True)))


class _Lane:
    """What one thread scores with: its scratch memory is its own."""

    def __init__(self, preparation: Preparation, charts: ChartParameters, passing: Pass, most: int) -> None:
        self._through = passing
        self._size = preparation.size
        held, (height, width), stride = preparation, preparation.size, passing.patch_px
        alignment = held.alignment
        self._align = alignment is not None
        self._ground = np.zeros((height, width), np.float32) if alignment is None else alignment.ground
        self._light = light_of(alignment)
        self._units = np.float32(held.scale), np.float32(held.shift)
        self._normal = np.array([held.shift, 1.0 / held.scale], np.float32)
        self._offset = float(charts.offset_mean), 1.0 / float(charts.offset_sd)
        self._windows = stride, height, width, charts.window, math.gcd(charts.window, charts.stride, stride)
        first_row, first_column = (starts(side, charts.window, charts.stride) for side in (height, width))
        self._shares = window_shares(first_row, first_column, self._windows)
        self._sensor = held.binning, held.height, held.width
        self._inverse_scale = in_patches(passing.grid, stride, 1.0 / charts.residual_scale)
        self._sums = np.empty((4, held.width), np.float32)
        self._padded = np.zeros((height + 2, width + 2), np.float32)
        self._patches = np.empty((most, *passing.grid, stride**2), np.float32)
        self._poses = np.zeros((most, 4))

    def __call__(self, frames: npt.NDArray[Any]) -> Scores:
        """Scores of *frames* (n, h, w), at least one and at most as many as there is scratch memory for."""
        patches, poses = self._prepared(frames)
        latent, drawn = self._through(patches)
        return self._scored(patches, latent, drawn, poses, self._sensor)

    def _scored(
        self,
        patches: Float32s,
        latent: Float32s,
        drawn: Bits,
        poses: npt.NDArray[np.float64],
        sensor: tuple[int, int, int],
    ) -> Scores:
        """*poses* and *sensor* lead from what the network sees to the place of the peak of `local`."""
        count = len(patches)
        charts, where = np.empty((4, count), np.float32), np.empty((count, 2), np.int16)
        score(
            patches,
            drawn,
            32 - 8 * drawn.itemsize,
            self._through.center,
            self._inverse_scale,
            latent,
            self._offset,
            self._windows,
            self._shares,
            poses,
            sensor,
            charts,
            where,
        )
        return Scores(latent, charts[0], charts[1], charts[2], charts[3], where)

    def deviations(self, frames: npt.NDArray[Any]) -> Deviations:
        """Likewise their latents and residuals, and what is drawn of them."""
        patches, _ = self._prepared(frames)
        latent, drawn = self._through(patches)
        drawn_here = drawn.view(np.float32) + self._through.center
        residual = (patches - drawn_here) * self._inverse_scale
        shift, share = self._normal
        shown = (of_patches(one, self._through.patch_px, self._size) for one in (residual, drawn_here / share + shift))
        return Deviations(latent, *shown)

    def pictures(self, frames: npt.NDArray[Any]) -> Pictures:
        """Likewise what is seen and drawn."""
        patches, poses = self._prepared(frames)
        latent, bits = self._through(patches)
        unmoved = np.zeros_like(poses), (1, *self._size)  # so that `where` stays in the pixels of the pictures
        scores = self._scored(patches, latent, bits, *unmoved)
        drawn = bits.view(np.float32) + self._through.center
        scale, shift = self._units
        seen, drawn, residual = (
            of_patches(one, self._through.patch_px, self._size)
            for one in (patches * scale + shift, drawn * scale + shift, (patches - drawn) * self._inverse_scale)
        )
        return Pictures(seen, drawn, residual, scores)

    def _prepared(self, frames: npt.NDArray[Any]) -> tuple[Float32s, npt.NDArray[np.float64]]:
        """What the network sees of *frames*, in patches, and where each was turned to."""
        patches, poses = self._patches[: len(frames)], self._poses[: len(frames)]
        prepare(
            frames,
            self._sensor[0],
            self._ground,
            self._align,
            self._light,
            self._normal,
            self._windows[0],
            self._sums,
            self._padded,
            patches,
            poses,
        )
        return patches, poses


class CompiledPass:
    """Patches through the network in compiled loops."""

    def __init__(self, plan: Plan, most: int) -> None:
        self.grid, self.patch_px = plan.grid, plan.patch_px
        self._plan = plan
        self._scratch = np.zeros(plan.scratch, np.float32)
        self._features, self._latent, self._codes = (
            np.zeros((most, floats), np.float32) for floats in (plan.features, plan.filled, plan.codes)
        )
        self.center = np.zeros((*plan.grid, plan.patch_px**2), np.float32)
        self._drawn = np.empty((most, *self.center.shape), np.float32)

    def __call__(self, patches: Float32s) -> tuple[Float32s, Bits]:
        """As of `Pass`."""
        count, plan = len(patches), self._plan
        latent, drawn = self._latent[:count], self._drawn[:count]
        pass_through(
            patches.reshape(count, -1),
            plan.down,
            plan.to_latent,
            plan.from_latent,
            plan.up,
            plan.weights,
            self._scratch,
            self._features[:count],
            latent,
            self._codes[:count],
            drawn.reshape(count, -1),
        )
        return latent[:, : plan.latent].copy(), drawn.view(np.uint32)


def _plain(frames: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """*frames* as they lie, where that is how they lie in the ring: for all else another loop would be compiled."""
    if frames.flags.c_contiguous and frames.flags.writeable and frames.dtype.isnative:
        return frames
    return np.array(frames, frames.dtype.newbyteorder("="), order="C")


def light_of(alignment: Alignment | None) -> npt.NDArray[np.float32]:
    """Threshold, usual row and column, reach, most that a pixel counts, and the squared elongation of round pools."""
    if alignment is None:
        return np.zeros(6, np.float32)
    return np.array([*alignment[1:], LIGHT_CAP * alignment.threshold, ROUND**2], np.float32)


def starts(side: int, window: int, stride: int) -> npt.NDArray[np.int64]:
    """Where the windows along a side begin; the last one may be cut by the edge."""
    return np.arange(-(-max(side - window, 0) // stride) + 1) * stride


def in_patches(grid: tuple[int, int], side: int, pixels: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
    """*pixels* (H, W) in patches (a, b, s * s) of *side* s, *grid* (a, b) of them; zero where these reach beyond."""
    rows, columns = grid
    full = np.zeros((rows * side, columns * side), np.float32)
    full[: pixels.shape[0], : pixels.shape[1]] = pixels
    cells = full.reshape(rows, side, columns, side).transpose(0, 2, 1, 3)
    return np.ascontiguousarray(cells.reshape(rows, columns, side**2))


def of_patches(patches: Float32s, side: int, size: tuple[int, int]) -> Float32s:
    """Frames (n, H, W) of *size* from *patches* (n, a, b, s * s) of *side* s, less what reaches beyond; a copy."""
    count, rows, columns = patches.shape[:3]
    cells = patches.reshape(count, rows, columns, side, side).transpose(0, 1, 3, 2, 4)
    return np.ascontiguousarray(cells.reshape(count, rows * side, columns * side)[:, : size[0], : size[1]])
