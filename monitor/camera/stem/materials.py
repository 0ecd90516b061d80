"""What simulated specimens are made of: unit cells, atoms and their thermal vibration. These numbers stand only here.

Those said to be nominal are of the right size, and nothing that is judged depends on their last digit.
"""

import math
from collections.abc import Mapping
from typing import Final, NamedTuple

ATOMIC_NUMBER: Final = {"C": 6, "O": 8, "Si": 14, "Ti": 22, "Ge": 32, "Sr": 38, "Nb": 41, "La": 57, "Au": 79}


class Atom(NamedTuple):
    """One atom of a unit cell."""

    species: str
    place: tuple[float, float, float]  # as fractions of the cell's edges


class Material(NamedTuple):
    """A crystal whose unit cell has right angles."""

    cell_nm: tuple[float, float, float]
    atoms: tuple[Atom, ...]
    debye_waller_a2: Mapping[str, float]
    """Species -> B in square angstroms at room temperature, as the literature gives it: B = 8 pi^2 <u^2>, with u along
    one axis; an amplitude of scattering falls by exp(-B g^2 / 4)."""


_FACES: Final = ((0.0, 0.0, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5), (0.5, 0.5, 0.0))
_GRAPHENE_NM: Final = 0.246  # 142 pm from atom to atom: Castro Neto et al. 2009

SILICON: Final = Material(
    cell_nm=(0.5431,) * 3,  # CODATA 2018, rounded
    atoms=tuple(Atom("Si", (x + part, y + part, z + part)) for part in (0.0, 0.25) for x, y, z in _FACES),
    debye_waller_a2={"Si": 0.46},  # Aldred and Hart 1973, rounded
)
STRONTIUM_TITANATE: Final = Material(
    cell_nm=(0.3905,) * 3,  # ICDD PDF 35-0734
    atoms=(Atom("Sr", _FACES[0]), Atom("Ti", (0.5, 0.5, 0.5)), *(Atom("O", place) for place in _FACES[1:])),
    debye_waller_a2={"Sr": 0.62, "Ti": 0.44, "O": 0.73},  # Abramov et al. 1995, rounded
)
GOLD: Final = Material(
    cell_nm=(0.4079,) * 3,  # Swanson and Tatge 1953, rounded
    atoms=tuple(Atom("Au", place) for place in _FACES),
    debye_waller_a2={"Au": 0.6},  # nominal
)
GRAPHENE: Final = Material(
    # The rectangle of two primitive cells; the third edge is graphite's distance from sheet to sheet, nominal.
    cell_nm=(_GRAPHENE_NM, _GRAPHENE_NM * math.sqrt(3.0), 0.335),
    atoms=tuple(Atom("C", (x, y, 0.0)) for x, y in ((0.0, 0.0), (0.5, 1 / 6), (0.5, 0.5), (0.0, 2 / 3))),
    debye_waller_a2={"C": 0.35},  # nominal: of the size of graphite's in the plane
)
