"""The fast path: a batch of frames -> the scores of every chart.

The formulas are those of `calibration.charts`, folded into the network: the encoder's last layer emits the whitened
latent q = W (z - mean), the decoder's first layer undoes it, and T2 is a sum of squares.
"""

import copy
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models import cpu, cuda
from models.autoencoder import Network
from models.cpu import CpuEngine
from models.cuda import CudaEngine
from models.preparation import Preparer
from models.scores import Precision, Scores, no_scores, of_images
from models.tensors import ChartParameters, Tensors, from_tensors, to_tensors
from models.tiles import Tiling
from models.training import FRAME_DTYPES, Trained

TILES: int = 32  # of an image, cut out at a time for the processor; a GPU takes its largest batch

Float32s = npt.NDArray[np.float32]
Frames = npt.NDArray[Any]  # (n, h, w) of uint8, uint16 or float32


class Reconstruction(NamedTuple):
    """Frames as the network sees them, and as it draws them, in pixel units; (n, H, W) each."""

    seen: Float32s
    drawn: Float32s
    residual: Float32s  # in units of residual_scale


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
        trained: Trained,
        charts: ChartParameters,
        device: str | torch.device = "cpu",
        tiling: Tiling | None = None,
        precision: Precision = "float32",
        threads: int = 1,
    ) -> None:
        whole = tiling or trained.preparation
        self.height, self.width = whole.height, whole.width
        self.latent = trained.network.latent
        self.tiling = tiling
        self.precision = precision
        self.device = torch.device(device)
        self._threads = threads
        self._tensors = to_tensors(trained, charts) | _tiling_tensors(tiling)
        self._preparation = trained.preparation
        self._network = _folded(trained.network, charts)
        self._scale = np.float32(charts.residual_scale)
        made_of = trained.preparation, copy.deepcopy(self._network), charts, precision
        self._engine: CpuEngine | CudaEngine
        if self.device.type == "cpu":
            self._engine = CpuEngine(*made_of, threads)
        elif self.device.type == "cuda":
            self._engine = CudaEngine(*made_of, self.device)
        else:
            raise ValueError(f"frames are scored on cpu or cuda, not {self.device}")

    @property
    def is_compiled(self) -> bool:
        """Whether frames go through compiled loops alone: then no size of batch has a price of its own."""
        return self.device.type == "cpu" and cpu.compiles(self._network, self.precision)

    @classmethod
    def from_tensors(
        cls,
        tensors: Tensors,
        height: int,
        width: int,
        device: str | torch.device = "cpu",
        precision: Precision = "float32",
        threads: int = 1,
    ) -> "Scorer":
        """The scorer with these `tensors`, the same to the last bit. ValueError where they don't fit the frame size."""
        tiling = _tiling(tensors, height, width)
        size = (height, width) if tiling is None else (tiling.side, tiling.side)
        trained, charts = from_tensors(tensors, *size)
        return cls(trained, charts, device, tiling, precision, threads)

    def in_precision(self, precision: Precision) -> "Scorer":
        """The same scorer, whose decoder draws in *precision*."""
        return Scorer.from_tensors(self._tensors, self.height, self.width, self.device, precision, self._threads)

    def tensors(self) -> Tensors:
        """All that makes this scorer, as plain arrays: the network before folding, and the charts' parameters."""
        return {name: array.copy() for name, array in self._tensors.items()}

    def __call__(self, frames: Frames, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of *frames* (n, h, w), which are read where they lie. *after_chunk* is called now and then."""
        self._require_fit(frames)
        if self.tiling is not None:
            return of_images(self.score_tiles(frames, after_chunk), self.tiling.count)
        return self._engine(frames, after_chunk) if len(frames) else no_scores(self.latent)

    def score_tiles(self, images: Frames, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of the n * k tiles of n *images* (n, h, w), image by image; *where* is in the image's pixels.

        Only for scorers with a tiling. A few tiles are copied at a time, however large the image.
        """
        assert self.tiling is not None
        self._require_fit(images)
        most = self._engine.sizes[-1] if isinstance(self._engine, CudaEngine) else TILES
        parts = [self._engine(tiles, after_chunk) for tiles in _tiles(self.tiling, images, most)]
        scores = Scores(*map(np.concatenate, zip(no_scores(self.latent), *parts, strict=True)))
        corners = np.tile(self.tiling.corners, (len(images), 1))
        return scores._replace(where=(scores.where + corners).astype(np.int16))

    def reconstruct(self, frames: Frames) -> Reconstruction:
        """What the network sees of the frames and makes of them, in float32; of images, their tiles put together."""
        self._require_fit(frames)
        if self.tiling is None or len(frames) == 0:
            return self._reconstruct(frames)
        images = [self._reconstruct_image(self.tiling, image[None]) for image in frames]
        return Reconstruction(*map(np.stack, zip(*images, strict=True)))

    def _require_fit(self, frames: Frames) -> None:
        if frames.shape[1:] != (self.height, self.width) or frames.dtype.name not in FRAME_DTYPES:
            raise ValueError(
                f"this scorer takes frames (n, {self.height}, {self.width}) of {', '.join(FRAME_DTYPES)}, "
                f"not {frames.shape} of {frames.dtype.name}"
            )

    def _reconstruct_image(self, tiling: Tiling, image: Frames) -> Reconstruction:
        """*image* (1, h, w) as it is seen and drawn, in its own pixels (h, w) whatever the binning."""
        parts = [self._reconstruct(tiles) for tiles in _tiles(tiling, image, TILES)]
        bins, side = self._preparation.binning, tiling.side
        seen = (np.concatenate(tiles) for tiles in zip(*parts, strict=True))
        tiles = (binned.repeat(bins, 1).repeat(bins, 2)[:, :side, :side] for binned in seen)
        return Reconstruction(*map(tiling.together, tiles))

    @torch.inference_mode()
    def _reconstruct(self, frames: Frames) -> Reconstruction:
        if len(frames) == 0:
            size = self._preparation.size if self.tiling is None else (self.height, self.width)
            none = np.empty((0, *size), np.float32)
            return Reconstruction(none, none, none)
        x, _ = Preparer(self._preparation)(torch.from_numpy(np.array(frames, order="C")))
        x_hat = self._network(x)
        shift, scale = self._preparation.shift, self._preparation.scale
        seen, drawn = ((one * scale + shift)[:, 0].numpy() for one in (x, x_hat))
        return Reconstruction(seen, drawn, (x - x_hat)[:, 0].numpy() / self._scale)


def gains_by_bfloat16(scorer: Scorer) -> bool:
    """Whether a decoder in bfloat16 is quicker: where the device has instructions for it, and no quicker way without.

    A processor's compiled loops are such a way: they take less time in float32 than torch in bfloat16.
    """
    return has_bfloat16(scorer.device) and not (
        scorer.device.type == "cpu" and cpu.compiles(scorer._network, "float32")
    )


def has_bfloat16(device: torch.device) -> bool:
    """Whether *device* has instructions for bfloat16."""
    return cpu.has_bfloat16() if device.type == "cpu" else cuda.has_bfloat16(device)


def _tiles(tiling: Tiling, images: Frames, most: int) -> Iterator[Frames]:
    """All tiles of *images* (n, h, w), image by image, *most* at a time."""
    for first in range(0, len(images) * tiling.count, most):
        yield tiling.cut(images, first, first + most)


def _tiling_tensors(tiling: Tiling | None) -> Tensors:
    if tiling is None:
        return {}
    return {"tiles.side": np.array(tiling.side), "tiles.overlap": np.array(tiling.overlap)}


def _tiling(tensors: Tensors, height: int, width: int) -> Tiling | None:
    if "tiles.side" not in tensors:
        return None
    return Tiling(height, width, int(tensors["tiles.side"]), int(tensors["tiles.overlap"]))


def _folded(network: Network, charts: ChartParameters) -> Network:
    """A copy of *network* whose code is q = W (z - mean). Folded in float64, since W may be ill-conditioned."""
    network = copy.deepcopy(network).cpu()
    mean = torch.from_numpy(np.asarray(charts.latent_mean, np.float64))
    whitening = torch.from_numpy(np.asarray(charts.whitening, np.float64))
    last, first = network.to_latent, network.from_latent
    with torch.no_grad():
        first.bias.copy_(first.bias.double() + first.weight.double() @ mean)
        first.weight.copy_(torch.linalg.solve(whitening, first.weight.double(), left=False))
        last.bias.copy_(whitening @ (last.bias.double() - mean))
        last.weight.copy_(whitening @ last.weight.double())
    return network.eval()
