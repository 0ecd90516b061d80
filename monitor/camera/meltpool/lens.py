"""What lenses do to a picture: a Gaussian core, and a wide veil of scattered light."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

COARSE_PX = 4.0
"""The veil is wide: it is computed on every fourth pixel, or at its own width where that is less, and interpolated."""


DUST = 1e-12
"""What is less of the light than this is nothing."""


class Lens:
    """Point spread of two Gaussians: *sharp_px* wide, and a share *veil* of the light *veil_px* wide.

    Both are products of a factor along rows and one along columns, so that each is two matrix products a frame. What
    is scattered out of the frame is lost.
    """

    def __init__(self, height: int, width: int, sharp_px: float, veil: float, veil_px: float) -> None:
        self._sharp_px, self._share = sharp_px, np.float32(1.0 - veil)
        self._shape = (height, width)
        self._sharp = self._matrices(sharp_px)
        gather = [_gathered(side, veil_px) for side in self._shape]
        spread = [_interpolated(side, veil_px) for side in self._shape]
        self._gather = gather[0], gather[1].T.copy()
        self._spread = spread[0] * np.float32(veil), spread[1].T.copy()

    def __call__(self, light: Floats, defocus_px: float = 0.0) -> Floats:
        """*light* (n, h, w) as it reaches the sensor, with a Gaussian blur of *defocus_px* besides the lens's own."""
        rows, columns = (
            self._sharp if defocus_px == 0.0 else self._matrices(float(np.hypot(self._sharp_px, defocus_px)))
        )
        seen: Floats = np.matmul(np.matmul(rows, light), columns)
        seen *= self._share
        seen += np.matmul(np.matmul(self._spread[0], self._gather[0] @ light @ self._gather[1]), self._spread[1])
        return seen

    def _matrices(self, sigma_px: float) -> tuple[Floats, Floats]:
        return blurred(self._shape[0], sigma_px), blurred(self._shape[1], sigma_px)


def blurred(side: int, sigma_px: float) -> Floats:
    """Symmetric matrix (side, side) that blurs one axis by a Gaussian."""
    lags = np.arange(-side, side + 1)
    kernel = np.exp(-0.5 * np.square(lags / max(sigma_px, 1e-3)))
    kernel /= kernel.sum()
    return _without_dust(kernel[side + np.subtract.outer(np.arange(side), np.arange(side))])


def _gathered(side: int, sigma_px: float) -> Floats:
    """(places, side): one axis blurred, and read at the coarse places only."""
    kernel = np.exp(-0.5 * np.square((_places(side, sigma_px)[:, None] - np.arange(side)) / sigma_px))
    return _without_dust(kernel / (sigma_px * np.sqrt(2 * np.pi)))


def _interpolated(side: int, sigma_px: float) -> Floats:
    """(side, places): one axis back at every pixel, by straight lines."""
    places = _places(side, sigma_px)
    weights = [np.interp(np.arange(side), places, one) for one in np.eye(len(places))]
    matrix: Floats = np.stack(weights, axis=1).astype(np.float32)
    return matrix


def _without_dust(matrix: npt.NDArray[np.float64]) -> Floats:
    """*matrix* with nought for what is next to it: subnormal numbers would make the products ten times slower."""
    return np.where(matrix < DUST, 0.0, matrix).astype(np.float32)


def _places(side: int, sigma_px: float) -> npt.NDArray[np.float64]:
    return np.linspace(0.0, side - 1.0, int(np.ceil((side - 1) / min(COARSE_PX, max(sigma_px, 1.0)))) + 1)
