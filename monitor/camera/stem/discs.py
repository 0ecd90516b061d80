"""What an electron beam makes of a crystal on a detector: discs, the smooth background, and rings of carbon. Pure."""

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import constants
from scipy.sparse import csr_matrix

from monitor.camera.stem.materials import GRAPHENE
from monitor.camera.stem.reflections import Zone

Floats = npt.NDArray[np.float32]

WEAKEST: Final = 0.01  # of the strongest structure factor: a ten-thousandth in intensity
DIFFUSE_MRAD: Final = 8.0  # where the background has fallen to a third

CARBON_HALOES: Final = ((math.sqrt(0.75) * GRAPHENE.cell_nm[0], 1.0), (0.5 * GRAPHENE.cell_nm[0], 0.3))
"""Amorphous carbon: spacing in nm and height of each halo, both nominal. They lie near (100) and (110) of graphite."""

HALO_WIDTH: Final = 0.08  # standard deviation over radius


class Optics(NamedTuple):
    """From the beam to the pixels: the same for everything that is in the beam."""

    height: int
    width: int
    wavelength_nm: float
    heavier: float  # the beam electron's mass over its rest mass
    mrad_per_px: float
    centre_px: tuple[float, float]  # column, row
    convergence_mrad: float  # semi-angle
    edge_mrad: float  # over which a disc's edge fades

    def angles_mrad(self) -> Floats:
        """Scattering angle of every pixel (pixels,)."""
        right = np.arange(self.width) - self.centre_px[0]
        down = np.arange(self.height)[:, None] - self.centre_px[1]
        angles: Floats = (self.mrad_per_px * np.hypot(right, down)).astype(np.float32).reshape(-1)
        return angles


def wavelength_pm(beam_kv: float) -> float:
    """Relativistic de Broglie wavelength: h / sqrt(2 m e U (1 + e U / 2 m c^2)). Reimer and Kohl 2008."""
    momentum = math.sqrt(constants.m_e * 1e3 * constants.e * beam_kv * (1.0 + mass_ratio(beam_kv)))
    return float(1e12 * constants.h / momentum)


def mass_ratio(beam_kv: float) -> float:
    """The beam electron's mass over its rest mass: 1 + e U / m c^2."""
    return float(1.0 + 1e3 * constants.e * beam_kv / (constants.m_e * constants.c**2))


class Discs:
    """The convergent-beam pattern of *zone*, turned by *rotation_rad*, as *optics* shows it.

    The beam is a bundle of beamlets one pixel apart. Reflected by g, the beamlet of direction a lands at lambda g + a
    with the intensity (pi t / xi)^2 sinc^2(s t), where xi = pi V / (lambda |F|) is the extinction distance and s the
    excitation error (Hirsch et al. 1965; Williams and Carter 2009). From s = -g (2 k + g) / (2 |k + g|) (De Graef 2003)
    with k = (a, 1) / lambda, and g at right angles to a zone axis that points to *tilt* downstream, follows for small
    angles s = -lambda g^2 / 2 - g (a - tilt). So a tilted crystal is brightest on the side to which its axis points.
    """

    def __init__(self, zone: Zone, rotation_rad: float, optics: Optics) -> None:
        self._optics = optics
        beyond_mrad = float(optics.angles_mrad().max()) + optics.convergence_mrad
        reflections = zone.reflections(1e-3 * beyond_mrad / optics.wavelength_nm)
        strong = reflections.potential > WEAKEST * reflections.potential[1:].max()
        self.hkl = reflections.hkl[strong]  # (n, 3)
        cos, sin = math.cos(rotation_rad), math.sin(rotation_rad)
        self._per_nm = reflections.per_nm[strong] @ np.array([[cos, sin], [-sin, cos]])
        beamlets, self._aperture = _beamlets(optics)
        angles_rad = 1e-3 * optics.mrad_per_px * beamlets
        squared = np.square(self._per_nm).sum(axis=1)
        errors = -0.5 * optics.wavelength_nm * squared[:, None] - self._per_nm @ angles_rad.T
        self._errors_per_nm = errors.astype(np.float32)  # (n, beamlets)
        inverse_extinction = optics.heavier * optics.wavelength_nm / math.pi * reflections.potential[strong]
        self._amplitude = (math.pi * inverse_extinction).astype(np.float32)[:, None]
        self._landing = self._footprints(beamlets)

    @property
    def middles_px(self) -> npt.NDArray[np.float64]:
        """Where each disc's middle lies (n, 2): column, row."""
        shift_px = 1e3 * self._optics.wavelength_nm / self._optics.mrad_per_px * self._per_nm
        middles: npt.NDArray[np.float64] = shift_px + np.array(self._optics.centre_px)
        return middles

    def expected(self, thickness_nm: float, tilt_rad: npt.NDArray[np.float64]) -> Floats:
        """Chance of an electron on this detector to land on each pixel (pixels,).

        *tilt_rad* (right, down) is where the zone axis points, seen along the beam.
        """
        phase = self._errors_per_nm + (self._per_nm @ tilt_rad).astype(np.float32)[:, None]
        phase *= np.float32(math.pi * thickness_nm)
        phase += np.float32(1e-6)  # never exactly zero, and far below what can be seen
        intensity = np.sin(phase)
        intensity /= phase
        intensity *= self._amplitude * np.float32(thickness_nm)
        np.square(intensity, out=intensity)
        intensity[0] = 1.0  # the direct beam, before each direction's electrons are shared out
        intensity *= self._aperture / intensity.sum(axis=0)
        pattern: Floats = self._landing @ intensity.reshape(-1)
        pattern /= pattern.sum()
        return pattern

    def _footprints(self, beamlets: npt.NDArray[np.int64]) -> csr_matrix:
        """Matrix (pixels, n * beamlets): where on the detector each reflected beamlet lands.

        The point spread is a quadratic B-spline, which keeps the mean place and has a standard deviation of half a
        pixel wherever between pixels the beamlet lands.
        """
        height, width = self._optics.height, self._optics.width
        near = np.rint(self.middles_px)
        off = (self.middles_px - near)[:, :, None]
        taps = np.concatenate([0.5 * (0.5 - off) ** 2, 0.75 - off**2, 0.5 * (0.5 + off) ** 2], axis=2)
        places = (near[:, None, :] + beamlets).astype(np.int32)[..., None] + np.arange(-1, 2, dtype=np.int32)
        columns, rows = places[:, :, 0, None, :], places[:, :, 1, :, None]
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        weights = np.broadcast_to((taps[:, 1, :, None] * taps[:, 0, None, :])[:, None], inside.shape)
        pixels = (rows * width + columns)[inside]
        source = np.nonzero(inside.reshape(-1, 9))[0]
        shape = (height * width, len(near) * len(beamlets))
        return csr_matrix((weights[inside].astype(np.float32), (pixels, source)), shape)


def _beamlets(optics: Optics) -> tuple[npt.NDArray[np.int64], Floats]:
    """The beamlets' places in pixels from the beam's axis (n, 2: column, row), and how bright each is (n,)."""
    edge_px = max(optics.edge_mrad / optics.mrad_per_px, 1.0)
    radius_px = optics.convergence_mrad / optics.mrad_per_px
    reach = math.ceil(radius_px + edge_px)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    bright = np.clip((radius_px - np.hypot(rows, columns)) / edge_px + 0.5, 0.0, 1.0)
    lit = bright > 0.0
    return np.stack([columns[lit], rows[lit]], axis=1), bright[lit].astype(np.float32)


def diffuse(optics: Optics) -> Floats:
    """Thermal diffuse and inelastic background (pixels,), with the sum 1: a smooth fall with the angle."""
    pattern: Floats = (1.0 + np.square(optics.angles_mrad() / DIFFUSE_MRAD)) ** -1.5
    pattern /= pattern.sum()
    return pattern


def carbon_rings_mrad(wavelength_nm: float) -> tuple[float, ...]:
    """Where amorphous carbon has its haloes: the radius of each in milliradians, by Bragg's law for small angles."""
    return tuple(1e3 * wavelength_nm / spacing_nm for spacing_nm, _ in CARBON_HALOES)


def carbon(optics: Optics) -> Floats:
    """The haloes of amorphous carbon (pixels,), with the sum 1, as wide as the material and the beam make them."""
    angles = optics.angles_mrad()
    pattern = np.zeros_like(angles)
    for radius, (_, height) in zip(carbon_rings_mrad(optics.wavelength_nm), CARBON_HALOES, strict=True):
        width = math.hypot(HALO_WIDTH * radius, optics.convergence_mrad / 2.0)
        pattern += height * np.exp(-0.5 * np.square((angles - radius) / width))
    pattern /= pattern.sum()
    return pattern
