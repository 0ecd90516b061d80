"""Sources that are not told as usual: shelved by an operator, suppressed by a program, or out of service (ISA-18.2).

Their alarms are raised, journalled and published all the same, with a flag that says so; and the permit takes no notice
of any of the three. Pure: time is an argument.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

ModeName = Literal["shelved", "suppressed", "out_of_service"]


class Mode(NamedTuple):
    """Why alarms of a source are not told as usual, by whom, and until when."""

    name: ModeName
    by: str
    reason: str
    since_t_ns: int  # Unix
    until_ns: int | None = None  # monotonic, of this boot of the machine; None: until someone ends it
    until_t_ns: int | None = None  # the same as Unix time, for people and for after another boot


Key = tuple[str, ModeName]
"""A source may be in several modes at once."""

Modes = Mapping[Key, Mode]


def begun(modes: Modes, source: str, mode: Mode) -> Modes:
    """*modes* with *mode* for *source*, in the place of one of that name."""
    return {**modes, (source, mode.name): mode}


def ended(modes: Modes, source: str, name: ModeName) -> Modes:
    """*modes* without the one of that *name*."""
    return {key: mode for key, mode in modes.items() if key != (source, name)}


def due(modes: Modes, now_ns: int) -> list[Key]:
    """Those whose time is over at *now_ns* (monotonic)."""
    return [key for key, mode in modes.items() if mode.until_ns is not None and now_ns >= mode.until_ns]


def reopened(modes: Modes, same_boot: bool, now_ns: int, now_t_ns: int) -> Modes:
    """*modes* as another process left them. After another *boot* their ends are counted by the wall clock instead.

    That clock may have been set meanwhile: no end is moved further away than the mode was meant to last.
    """
    if same_boot:
        return modes
    found = {}
    for key, mode in modes.items():
        if mode.until_t_ns is not None:
            left_ns = min(mode.until_t_ns - now_t_ns, mode.until_t_ns - mode.since_t_ns)
            mode = mode._replace(until_ns=now_ns + max(left_ns, 0))
        found[key] = mode
    return found
