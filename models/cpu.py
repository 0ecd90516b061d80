"""Scores on the processor: compiled loops from pixels to scores, in one layout; networks that do not fit in torch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from models.alignment import LIGHT_CAP, ROUND, Alignment
from models.autoencoder import Convolutional, Network
from models.compiled.network import pass_through
from models.compiled.prepare import prepare
from models.compiled.residual import score
from models.drawing import Bits, Drawing
from models.plan import fits, plan_of
from models.preparation import Preparation
from models.scores import Float32s, Precision, Scores
from models.tensors import ChartParameters

CHUNK_MIN: Final = 8
CHUNK_MAX: Final = 64  # frames a pass: each call costs the same few microseconds, however many they are ...
CHUNK_PIXELS: Final = 2**19  # ... while what a pass works on stays in the cache
SHARED: Final = 16  # frames that are worth handing to another thread


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 faster than float32; without instructions for it, it is far slower."""
    return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()


class CpuEngine:
    """Scores frames with as many threads as told, each of them a chunk at a time. For one caller at a time."""

    def __init__(
        self,
        preparation: Preparation,
        network: Network,
        charts: ChartParameters,
        precision: Precision = "float32",
        threads: int = 1,
    ) -> None:
        """*network* is folded: its code is whitened."""
        height, width = preparation.size
        self._chunk = min(max(CHUNK_PIXELS // (height * width), CHUNK_MIN), CHUNK_MAX)
        self._lanes = [_Lane(preparation, network, charts, precision, self._chunk) for _ in range(threads)]
        # A frame's work is too little to be shared out by torch: each thread has frames of its own.
        self._others = None
        if threads > 1:
            self._others = ThreadPoolExecutor(threads - 1, "score", torch.set_num_threads, (1,))

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

    def __init__(
        self, preparation: Preparation, network: Network, charts: ChartParameters, precision: Precision, most: int
    ) -> None:
        self._through = _Compiled(network, most) if compiles(network, precision) else _InTorch(network, precision, most)
        held, (height, width), stride = preparation, preparation.size, network.stride
        alignment = held.alignment
        self._align = alignment is not None
        self._ground = np.zeros((height, width), np.float32) if alignment is None else alignment.ground
        self._light = light_of(alignment)
        self._normal = np.array([held.shift, 1.0 / held.scale], np.float32)
        self._offset = float(charts.offset_mean), 1.0 / float(charts.offset_sd)
        self._windows = stride, height, width, charts.window
        self._first_row, self._first_column = (starts(side, charts.window, charts.stride) for side in (height, width))
        self._sensor = held.binning, held.height, held.width
        self._inverse_scale = in_patches(network.grid, stride, 1.0 / charts.residual_scale)
        self._sums = np.empty((4, held.width), np.float32)
        self._padded = np.zeros((height + 2, width + 2), np.float32)
        self._patches = np.empty((most, *network.grid, stride**2), np.float32)
        self._poses = np.zeros((most, 4))

    def __call__(self, frames: npt.NDArray[Any]) -> Scores:
        """Scores of *frames* (n, h, w), at least one and at most as many as there is scratch memory for."""
        count = len(frames)
        patches, poses = self._patches[:count], self._poses[:count]
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
        latent, drawn = self._through(patches)
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
            self._first_row,
            self._first_column,
            poses,
            self._sensor,
            charts,
            where,
        )
        return Scores(latent, charts[0], charts[1], charts[2], charts[3], where)


def compiles(network: Network, precision: Precision) -> bool:
    """Whether frames go through *network* in compiled loops, several times faster than in calls of torch."""
    return precision == "float32" and fits(network)


class _Compiled:
    """Patches through the network in compiled loops."""

    def __init__(self, network: Network, most: int) -> None:
        assert isinstance(network, Convolutional)
        self._plan = plan_of(network)
        self._p = network.latent
        self._scratch = np.zeros(self._plan.scratch, np.float32)
        self._features, self._latent, self._codes = (
            np.zeros((most, floats), np.float32)
            for floats in (self._plan.features, self._plan.latent, self._plan.codes)
        )
        self.center = np.zeros((*network.grid, network.stride**2), np.float32)
        self._drawn = np.empty((most, *self.center.shape), np.float32)

    def __call__(self, patches: Float32s) -> tuple[Float32s, Bits]:
        """Latents (n, p) of *patches* (n, a, b, s * s), and the bits of what is drawn of them, less the center."""
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
        return latent[:, : self._p].copy(), drawn.view(np.uint32)


class _InTorch:
    """Patches through any network, with a decoder of any precision."""

    def __init__(self, network: Network, precision: Precision, most: int) -> None:
        self._network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        self._draw = Drawing(self._network, precision, most)
        self.center = self._draw.center

    @torch.inference_mode()
    def __call__(self, patches: Float32s) -> tuple[Float32s, Bits]:
        """As of `_Compiled`."""
        q = self._network.to_latent(self._network.features(torch.from_numpy(patches)))  # (n, p), whitened
        latent: Float32s = q.numpy()
        return latent, self._draw(q)


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
