"""The fast path: a batch of frames -> the scores of every chart.

The formulas are those of `calibration.charts`, folded into the network: the encoder's last layer emits the whitened
latent q = W (z - mean), the decoder's first layer undoes it, and T2 is a sum of squares.
"""

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.autoencoder import Network
from models.preparation import Preparer
from models.tensors import ChartParameters, Tensors, from_tensors, to_tensors
from models.tiles import Tiling
from models.training import FRAME_DTYPES, Trained

CHARTS = ("t2", "s2", "offset", "local")
CHUNK = 32  # frames a pass: larger ones fall out of the cache

Floats = npt.NDArray[np.floating[Any]]
Float32s = npt.NDArray[np.float32]


class Scores(NamedTuple):
    """Scores of n frames, in the order of CHARTS. *latent* is the whitened q: t2 is its squared length."""

    latent: Float32s  # (n, p)
    t2: Float32s  # (n,), and so are the next three
    s2: Float32s
    offset: Float32s
    local: Float32s
    where: npt.NDArray[np.int16]  # (n, 2): row and column of the centre of the window that gave `local`

    @property
    def values(self) -> Float32s:
        """What the charts say, side by side in the order of CHARTS: (n, charts), a copy."""
        return np.array((self.t2, self.s2, self.offset, self.local)).T


class Reconstruction(NamedTuple):
    """Frames as the network sees them, and as it draws them, in pixel units; (n, H, W) each."""

    seen: Float32s
    drawn: Float32s
    residual: Float32s  # in units of residual_scale


class Scorer:
    """Scores batches of frames (n, h, w) of uint8, uint16 or float32.

    Scores do not depend on how a stream is cut into batches, but for rounding: t2 and the latent to 1e-4 of their
    size, s2, offset and local to 1e-5 of the frame's mean squared residual or 1e-4 of their size, whichever is more.
    A frame with pixels that are not finite gets scores that are not finite and leaves its neighbours' alone.
    With a *tiling* frames are images whose tiles the network sees: see `of_images`.
    """

    def __init__(
        self,
        trained: Trained,
        charts: ChartParameters,
        device: str | torch.device = "cpu",
        tiling: Tiling | None = None,
    ) -> None:
        whole = tiling or trained.preparation
        self.height, self.width = whole.height, whole.width
        self.latent = trained.network.latent
        self.tiling = tiling
        self.device = torch.device(device)
        self._tensors = to_tensors(trained, charts) | _tiling_tensors(tiling)
        self._prepare = Preparer(trained.preparation, self.device)
        self._offset_mean, self._offset_sd = float(charts.offset_mean), float(charts.offset_sd)
        self._network = _folded(trained.network, charts).to(
            self.device,
            memory_format=torch.channels_last,  # type: ignore[call-overload]  # torch's stub lacks it
        )
        self._inverse_scale = torch.from_numpy(np.float32(1.0 / charts.residual_scale)).to(self.device)
        seen_rows, seen_columns = trained.preparation.size
        rows, self._row_centres = _windows(seen_rows, charts.window, charts.stride)
        columns, self._column_centres = _windows(seen_columns, charts.window, charts.stride)
        self._row_windows = rows.to(self.device)  # (r, h)
        self._column_windows = columns.T.contiguous().to(self.device)  # (w, c)

    @classmethod
    def from_tensors(cls, tensors: Tensors, height: int, width: int, device: str | torch.device = "cpu") -> "Scorer":
        """The scorer with these `tensors`, the same to the last bit. ValueError where they don't fit the frame size."""
        tiling = _tiling(tensors, height, width)
        size = (height, width) if tiling is None else (tiling.side, tiling.side)
        trained, charts = from_tensors(tensors, *size)
        return cls(trained, charts, device, tiling)

    def tensors(self) -> Tensors:
        """All that makes this scorer, as plain arrays: the network before folding, and the charts' parameters."""
        return {name: array.copy() for name, array in self._tensors.items()}

    def load(self, frames: npt.NDArray[Any]) -> Tensor:
        """Copies *frames* (n, h, w) to the device, as they are: afterwards the caller's memory may change."""
        if frames.shape[1:] != (self.height, self.width) or frames.dtype.name not in FRAME_DTYPES:
            raise ValueError(
                f"this scorer takes frames (n, {self.height}, {self.width}) of {', '.join(FRAME_DTYPES)}, "
                f"not {frames.shape} of {frames.dtype.name}"
            )
        return torch.from_numpy(np.array(frames, order="C")).to(self.device)

    def score(self, loaded: Tensor, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of frames that `load` copied; they are not changed. *after_chunk* is called between tiles."""
        if self.tiling is None:
            return self._score(loaded)
        return of_images(self.score_tiles(loaded, after_chunk), self.tiling.count)

    def score_tiles(self, loaded: Tensor, after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Scores of the n * k tiles of n images that `load` copied, image by image; *where* is in the image's pixels.

        Only for scorers with a tiling. A chunk of tiles is copied at a time, however large the image.
        """
        assert self.tiling is not None
        parts = []
        for first in range(0, max(len(loaded) * self.tiling.count, 1), CHUNK):
            parts.append(self._score(self.tiling.cut(loaded, first, first + CHUNK)))
            after_chunk()
        scores = Scores(*map(np.concatenate, zip(*parts, strict=True)))
        corners = np.tile(self.tiling.corners, (len(loaded), 1))
        return scores._replace(where=(scores.where + corners).astype(np.int16))

    @torch.inference_mode()
    def _score(self, loaded: Tensor) -> Scores:
        """Scores of what the network sees as one frame each."""
        if len(loaded) == 0:
            return self._no_scores()
        x, pose = self._prepare(loaded)  # (n, 1, h, w)
        q = self._network.encode(x)  # (n, p), whitened
        e = self._residual(x, self._network.decode(q))  # (n, 1, h, w)
        squares = e.square()
        mean = e.flatten(1).mean(1)
        s2 = squares.flatten(1).mean(1) - mean.square()
        offset = (mean - self._offset_mean).abs() / self._offset_sd
        smooth = self._row_windows @ (squares[:, 0] @ self._column_windows)  # (n, r, c)
        local, peak = smooth.flatten(1).max(1)
        charts = torch.stack((q.square().sum(1), s2, offset, local)).cpu().numpy()  # (4, n): one transfer
        where = self._prepare.places(self._positions(peak.cpu().numpy(), smooth.shape[2]), pose)
        return Scores(q.cpu().numpy(), charts[0], charts[1], charts[2], charts[3], where)

    def __call__(self, frames: npt.NDArray[Any], after_chunk: Callable[[], None] = lambda: None) -> Scores:
        """Loads and scores *frames* of any number, a chunk at a time; *after_chunk* is called after each."""
        parts = []
        step = CHUNK if self.tiling is None else 1  # an image at a time: a few of them may fill the memory
        for first in range(0, max(len(frames), 1), step):
            parts.append(self.score(self.load(frames[first : first + step]), after_chunk))
            after_chunk()
        return parts[0] if len(parts) == 1 else Scores(*map(np.concatenate, zip(*parts, strict=True)))

    def reconstruct(self, frames: npt.NDArray[Any]) -> Reconstruction:
        """What the network sees of the frames and makes of them; of images, their tiles put together."""
        loaded = self.load(frames)
        if self.tiling is None or len(loaded) == 0:
            return self._reconstruct(loaded)
        images = [self._reconstruct_image(self.tiling, image[None]) for image in loaded]
        return Reconstruction(*map(np.stack, zip(*images, strict=True)))

    def _reconstruct_image(self, tiling: Tiling, image: Tensor) -> Reconstruction:
        """*image* (1, h, w) as it is seen and drawn, in its own pixels (h, w) whatever the binning."""
        chunks = range(0, tiling.count, CHUNK)
        parts = [self._reconstruct(tiling.cut(image, first, first + CHUNK)) for first in chunks]
        bins, side = self._prepare.preparation.binning, tiling.side
        seen = (np.concatenate(tiles) for tiles in zip(*parts, strict=True))
        tiles = (binned.repeat(bins, 1).repeat(bins, 2)[:, :side, :side] for binned in seen)
        return Reconstruction(*map(tiling.together, tiles))

    @torch.inference_mode()
    def _reconstruct(self, loaded: Tensor) -> Reconstruction:
        if len(loaded) == 0:
            size = self._prepare.size if self.tiling is None else (self.height, self.width)
            none = np.empty((0, *size), np.float32)
            return Reconstruction(none, none, none)
        x, _ = self._prepare(loaded)
        x_hat = self._network.decode(self._network.encode(x))
        shift, scale = self._prepare.preparation.shift, self._prepare.preparation.scale
        seen, drawn = ((one * scale + shift)[:, 0].cpu().numpy() for one in (x, x_hat))
        return Reconstruction(seen, drawn, self._residual(x, x_hat)[:, 0].cpu().numpy())

    def _residual(self, x: Tensor, x_hat: Tensor) -> Tensor:
        """Overwrites *x*, which is a copy of this scorer's own, with (x - x_hat) / residual_scale."""
        return x.sub_(x_hat).mul_(self._inverse_scale)

    def _positions(self, peak: npt.NDArray[np.int64], columns: int) -> npt.NDArray[np.int16]:
        return np.stack((self._row_centres[peak // columns], self._column_centres[peak % columns]), axis=1)

    def _no_scores(self) -> Scores:
        none = np.empty(0, np.float32)
        return Scores(np.empty((0, self.latent), np.float32), none, none, none, none, np.empty((0, 2), np.int16))


def of_images(tiles: Scores, count: int) -> Scores:
    """Scores of n images from those of their n * *count* tiles: of each chart the largest.

    So an image is over a limit where one of its tiles is. *where* is that of the largest local score, and *latent* that
    of the same tile: t2, which may come from another one, is then not its squared length. Where a tile has a score
    that is not a number, so has the image.
    """
    largest = {chart: getattr(tiles, chart).reshape(-1, count).max(axis=1) for chart in CHARTS}
    local = tiles.local.reshape(-1, count)
    worst = local.argmax(axis=1) + count * np.arange(len(local))
    return Scores(latent=tiles.latent[worst], where=tiles.where[worst], **largest)


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


def _windows(side: int, window: int, stride: int) -> tuple[Tensor, npt.NDArray[np.int16]]:
    """Averages over the windows along a side, as a matrix (windows, side), and the pixel in the middle of each.

    As two matrix products `local` takes a third of the time of a pooling layer. The last window may be cut by the edge.
    """
    starts = np.arange(-(-max(side - window, 0) // stride) + 1) * stride
    ends = np.minimum(starts + window, side)
    pixel = np.arange(side)
    inside = (pixel >= starts[:, None]) & (pixel < ends[:, None])
    averages = torch.from_numpy(np.float32(inside / (ends - starts)[:, None]))
    return averages, ((starts + ends) // 2).astype(np.int16)
