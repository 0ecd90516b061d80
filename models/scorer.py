"""The fast path: a batch of frames -> the scores of every chart.

The formulas are those of `calibration.charts`, folded into the network: the encoder's last layer emits the whitened
latent q = W (z - mean), the decoder's first layer undoes it, and T2 is a sum of squares.

torch is loaded for what needs it alone: where compiled loops score, a process starts in half the time without.
"""

from collections.abc import Callable, Iterator
from functools import cached_property, partial
from typing import TYPE_CHECKING, Final

import numpy as np

from models import cpu
from models.cpu import CompiledPass, CpuEngine
from models.plan import fits, plan_of
from models.preparation import FRAME_DTYPES, Frames
from models.scores import Deviations, Pictures, Precision, Scores, joined, no_scores, of_images
from models.tensors import Parts, Tensors, split, whitened
from models.tiles import Tiling, tiling_of

if TYPE_CHECKING:
    from models.cuda import CudaEngine

CPU: Final = "cpu"
TILES: Final = 32  # of an image, cut out at a time for the processor; a GPU takes its largest batch


class Scorer:
    """Scores batches of frames (n, h, w) of uint8, uint16 or float32. For one thread at a time.

    Scores do not depend on how a stream is cut into batches, but for rounding: t2 and the latent to 1e-4 of their
    size, s2, offset and local to 1e-5 of the frame's mean squared residual or 1e-4 of their size, whichever is more;
    with a decoder in bfloat16 these three to 1e-2.
    A frame with pixels that are not finite gets scores that are not finite and leaves its neighbours' alone.
    With a *tiling* frames are images whose tiles the network sees: see `of_images`.
    """

    def __init__(
        self,
        tensors: Tensors,
        height: int,
        width: int,
        device: str = CPU,
        precision: Precision = "float32",
        threads: int = 1,
    ) -> None:
        """The scorer that *tensors* make, for frames of *height* x *width*. ValueError where they don't fit them."""
        self.height, self.width = height, width
        self.tiling = tiling_of(tensors, height, width)
        self.device, self.precision, self._threads = device, precision, threads
        self._tensors = {name: array.copy() for name, array in tensors.items()}
        size = (height, width) if self.tiling is None else (self.tiling.side, self.tiling.side)
        self.parts = split(self._tensors, *size)
        self.latent = self.parts.architecture.latent
        self._engine = _engine(self.parts, device, precision, threads)

    @property
    def is_compiled(self) -> bool:
        """Whether frames go through compiled loops alone: then no size of batch has a price of its own."""
        return self.device == CPU and _compiles(self.parts, self.precision)

    @property
    def gains_by_bfloat16(self) -> bool:
        """Whether a decoder in bfloat16 is quicker: where the device has instructions for it, but no quicker way.

        A processor's compiled loops are such a way: they take less time in float32 than torch in bfloat16.
        """
        return has_bfloat16(self.device) and not (self.device == CPU and _compiles(self.parts, "float32"))

    def in_precision(self, precision: Precision) -> "Scorer":
        """The same scorer, whose decoder draws in *precision*."""
        return Scorer(self._tensors, self.height, self.width, self.device, precision, self._threads)

    def tensors(self) -> Tensors:
        """All that makes this scorer, as plain arrays: the network before folding, and the charts' parameters."""
        return {name: array.copy() for name, array in self._tensors.items()}

    def __call__(self, frames: Frames, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of *frames* (n, h, w), which are read where they lie. *after_chunk* is called now and then."""
        self.require_fit(frames)
        if self.tiling is not None:
            return of_images(self.score_tiles(frames, after_chunk), self.tiling.count)
        return self._engine(frames, after_chunk) if len(frames) else no_scores(self.latent)

    def score_tiles(self, images: Frames, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of the n * k tiles of n *images* (n, h, w), image by image; *where* is in the image's pixels.

        Only for scorers with a tiling. A few tiles are copied at a time, however large the image.
        """
        assert self.tiling is not None
        self.require_fit(images)
        most = TILES if isinstance(self._engine, CpuEngine) else self._engine.sizes[-1]
        parts = [self._engine(tiles, after_chunk) for tiles in tiles_of(self.tiling, images, most)]
        scores = Scores(*map(np.concatenate, zip(no_scores(self.latent), *parts, strict=True)))
        corners = np.tile(self.tiling.corners, (len(images), 1))
        return scores._replace(where=(scores.where + corners).astype(np.int16))

    def deviations(self, frames: Frames) -> Deviations:
        """How *frames* (n, h, w) deviate from normal, by a decoder in float32 on the processor; one or more.

        Of an image, how the tile does that has the largest local score.
        """
        self.require_fit(frames)
        if self.tiling is None:
            return self._plain.deviations(frames)
        local = self.score_tiles(frames).local.reshape(len(frames), -1)
        tiles = (local.argmax(axis=1) + self.tiling.count * np.arange(len(frames))).tolist()
        return self._plain.deviations(np.concatenate([self.tiling.cut(frames, tile, tile + 1) for tile in tiles]))

    def pictures(self, frames: Frames) -> Pictures:
        """*frames* (n, h, w) as they are seen and drawn, one or more; by a decoder in float32 on the processor.

        As `models.reconstruction` has them, without torch where compiled loops score. Of images, their tiles put
        together, in the image's own pixels whatever the binning.
        """
        self.require_fit(frames)
        if self.tiling is None:
            return self._plain.pictures(frames)
        return joined([self._whole(self.tiling, image[None]) for image in frames])

    def _whole(self, tiling: Tiling, image: Frames) -> Pictures:
        """The pictures of one *image* (1, h, w)."""
        tiles = joined([self._plain.pictures(some) for some in tiles_of(tiling, image, TILES)])
        bins, side = self.parts.preparation.binning, tiling.side
        seen, drawn, residual = (
            tiling.together(one.repeat(bins, 1).repeat(bins, 2)[:, :side, :side])[None] for one in tiles[:3]
        )
        where = np.minimum(tiles.scores.where * bins + bins // 2, side - 1) + tiling.corners
        placed = tiles.scores._replace(where=where.astype(np.int16))
        return Pictures(seen, drawn, residual, of_images(placed, tiling.count))

    @cached_property
    def _plain(self) -> CpuEngine:
        """An engine of the processor that draws in float32."""
        own = self._engine
        as_it_is = isinstance(own, CpuEngine) and self.precision == "float32"
        return own if as_it_is else _engine(self.parts, CPU, "float32", 1)  # type: ignore[return-value]  # on CPU it is one

    def require_fit(self, frames: Frames) -> None:
        """Raises ValueError where *frames* are not of this scorer's size, or of another type than it takes."""
        if frames.shape[1:] != (self.height, self.width) or frames.dtype.name not in FRAME_DTYPES:
            raise ValueError(
                f"this scorer takes frames (n, {self.height}, {self.width}) of {', '.join(FRAME_DTYPES)}, "
                f"not {frames.shape} of {frames.dtype.name}"
            )


def has_bfloat16(device: str) -> bool:
    """Whether *device* has instructions for bfloat16."""
    if device == CPU:
        return cpu.has_bfloat16()
    from models import cuda

    return cuda.has_bfloat16(device)


def tiles_of(tiling: Tiling, images: Frames, most: int) -> Iterator[Frames]:
    """All tiles of *images* (n, h, w), image by image, *most* at a time."""
    for first in range(0, len(images) * tiling.count, most):
        yield tiling.cut(images, first, first + most)


def _compiles(parts: Parts, precision: Precision) -> bool:
    """Whether frames go through the network in compiled loops, several times faster than in calls of torch."""
    return precision == "float32" and fits(*parts.preparation.size, parts.architecture)


def _engine(parts: Parts, device: str, precision: Precision, threads: int) -> "CpuEngine | CudaEngine":
    """What scores on *device*. Its network's code is whitened."""
    if device == CPU and _compiles(parts, precision):
        weights = whitened(parts.weights, parts.charts)
        plan = plan_of(*parts.preparation.size, parts.architecture, weights)
        return CpuEngine(parts.preparation, parts.charts, partial(CompiledPass, plan), threads)
    if device != CPU and not device.startswith("cuda"):
        raise ValueError(f"frames are scored on cpu or cuda, not {device}")
    from models.trained import whitened_network

    network = whitened_network(parts)
    if device == CPU:
        from models.torch_pass import TorchPass, in_one_thread

        return CpuEngine(
            parts.preparation, parts.charts, partial(TorchPass, network, precision), threads, in_one_thread
        )
    from models.cuda import CudaEngine

    return CudaEngine(parts.preparation, network, parts.charts, precision, device)
