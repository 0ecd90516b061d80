"""How alarms live: the section `alarms` of the configuration, every key documented where it is declared."""

from typing import Annotated

import msgspec

from monitor.types import Priority, Source, State

Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are refused."""


class Flood(_Section, frozen=True):
    """When there are more alarms than a person can read: the next ones then stand behind one alarm of source `flood`.

    The usual figures are those of ISA-18.2 / IEC 62682.
    """

    begins_above: Count = 10
    """New alarms within the window that are no flood yet. Critical ones are never grouped."""
    ends_below: Count = 5
    """The flood is over when the window holds fewer."""
    window_s: Annotated[float, msgspec.Meta(gt=0, le=86400)] = 600.0
    """How long the window is."""


class Priorities(_Section, frozen=True):
    """How urgent alarms of charts and rates are: medium, and one step more for each of these that holds."""

    high_ratio: Annotated[float, msgspec.Meta(ge=1)] = 2.0
    """The peak lies so many times over its limit."""
    critical_ratio: Annotated[float, msgspec.Meta(ge=1)] | None = None
    """... and so many times; without it, distance alone never makes an alarm critical."""
    long_s: Positive | None = 10.0
    """So many seconds of judged frames are over the limit; null: it does not matter how long."""
    kinds: dict[str, Priority] = {}
    """Priority of alarms by the name of their kind, in the place of all this."""


class Alarms(_Section, frozen=True):
    """How alarms live, by their source: t2, local, frozen, blind, ... The permit falls all the same, at once."""

    on_delay_s: dict[Source, NotNegative] = {}
    """An event of this source is an alarm only after so long; one that is over before is none."""
    off_delay_s: dict[Source, NotNegative] = {}
    """An alarm of this source stays active for so long after its event, and an event meanwhile goes on with it."""
    latch: tuple[Source, ...] = ()
    """Alarms of these sources stay active until they are acknowledged."""
    suppress: dict[Source, tuple[State, ...]] = {}
    """Alarms of these sources are suppressed while the state is one of those named: dark: [idle], for example."""
    flood: Flood | None = Flood()
    """null: alarms are never grouped."""
    priorities: Priorities = Priorities()
    keep_days: Positive | None = 365.0
    """Cleared alarms are kept in the journal for so long; null: for ever."""
    keep_mib: Annotated[float, msgspec.Meta(ge=1)] | None = 1024.0
    """The journal holds no more than so much: beyond, the oldest cleared alarms go first; null: as much as comes."""
