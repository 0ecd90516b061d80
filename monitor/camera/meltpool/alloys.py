"""Alloys of laser powder bed fusion: what heat conduction and radiation need to know of each.

One set of constants an alloy, taken near its melting point: the analytical solution in `heat` knows no others. Latent
heat, and convection in the melt, are not in it.
"""

from typing import Final, NamedTuple


class Alloy(NamedTuple):
    """Thermophysical constants in SI units; temperatures in kelvin."""

    conductivity: float  # W/(m K)
    density: float  # kg/m3
    heat_capacity: float  # J/(kg K)
    solidus_k: float
    liquidus_k: float
    boiling_k: float  # of the base metal: evaporation lets no surface grow much hotter

    @property
    def diffusivity_mm2_per_s(self) -> float:
        """Thermal diffusivity k / (rho c)."""
        return 1e6 * self.conductivity / (self.density * self.heat_capacity)


# Boiling points of Ni, Fe and Ti: CRC Handbook of Chemistry and Physics.
ALLOYS: Final = {
    # Special Metals, data sheet SMC-063: conductivity at 982 C, heat capacity at 1093 C, melting range 1290-1350 C.
    "IN625": Alloy(25.2, 8440.0, 670.0, 1563.0, 1623.0, 3186.0),
    # Mills 2002, Recommended Values of Thermophysical Properties for Selected Commercial Alloys: the liquid.
    "IN718": Alloy(29.6, 7400.0, 720.0, 1533.0, 1609.0, 3186.0),
    "Ti-6Al-4V": Alloy(33.4, 3920.0, 831.0, 1877.0, 1923.0, 3560.0),
    # Kim 1975, ANL-75-55: the solid at 1700 K by its fits; melting range as in Mills 2002.
    "316L": Alloy(36.0, 7256.0, 685.0, 1658.0, 1723.0, 3134.0),
}
