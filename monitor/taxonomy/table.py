"""The kinds by which events are named, from the side process to the hot process, in shared memory.

The writer fills the half that no reader uses, then moves the version on to it; each half carries its version and a
checksum, as the ledger's rows do. Who reads while a half is written anew gives up and keeps what it has.
"""

import zlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.shared import Arrays, Fields
from monitor.types import Priority
from monitor.vitals import PRIORITIES

KINDS_MAX: Final = 64
COORDINATES_MAX: Final = 1024
NAME_BYTES: Final = 64  # of UTF-8; longer names are cut
READ_ATTEMPTS: Final = 3

_KIND: Final = np.dtype([("id", "<i8"), ("radius", "<f8"), ("priority", "i1"), ("name", f"S{NAME_BYTES}")])
_HEAD: Final = np.dtype(
    [
        ("version", "<i8"),
        ("space", "S64"),
        ("count", "<i4"),
        ("coordinates", "<i4"),
        ("kinds", _KIND, (KINDS_MAX,)),
    ]
)


class Table(NamedTuple):
    """K kinds that events may be of. Names are made for people: see `shown_name`."""

    space: str  # in which centres are: `monitor.taxonomy.embedding.space`
    ids: tuple[int, ...]
    names: tuple[str, ...]  # empty: nobody has named it
    priorities: tuple[Priority | None, ...]  # what an operator gave
    centres: npt.NDArray[np.float32]  # (K, d)
    radii: npt.NDArray[np.float64]  # (K,)

    @property
    def priority_of(self) -> Mapping[str, Priority]:
        """Name -> priority, of the kinds that have one; of two kinds of one name the more urgent."""
        found: dict[str, Priority] = {}
        for number, name, priority in zip(self.ids, self.names, self.priorities, strict=True):
            key = shown_name(number, name)
            if priority is not None and (key not in found or _urgency(priority) > _urgency(found[key])):
                found[key] = priority
        return found


def shown_name(number: int, name: str) -> str:
    """What an event of kind *number* is said to be: the *name* that a person gave, cut to what the table holds."""
    return _cut(name).decode() or f"kind {number}"


def fields() -> Fields:
    """The arrays of the table."""
    return {
        "version": ("i8", (1,)),
        "checks": ("u4", (2,)),
        "heads": (_HEAD, (2,)),
        "centres": ("f4", (2, KINDS_MAX * COORDINATES_MAX)),
    }


def write(arrays: Arrays, table: Table) -> None:
    """Make *table* the one by which events are named. One writer.

    Of more than KINDS_MAX kinds only the first are held; events of the others then have no kind. Raises ValueError
    where centres have more coordinates than COORDINATES_MAX, or parts of the table are not of as many kinds.
    """
    if table.centres.shape[1] > COORDINATES_MAX:
        raise ValueError(f"centres of {table.centres.shape[1]} coordinates: at most {COORDINATES_MAX} are held")
    if len({len(part) for part in table[1:]}) > 1:
        raise ValueError("each kind has an id, a name, a priority, a centre and a radius")
    table = Table._make((table.space, *(part[:KINDS_MAX] for part in table[1:])))
    count, coordinates = table.centres.shape
    version = int(arrays["version"][0]) + 1
    half = version % 2
    head = np.zeros((), _HEAD)
    head["version"], head["space"] = version, table.space.encode()
    head["count"], head["coordinates"] = count, coordinates
    kinds = head["kinds"][:count]
    kinds["id"], kinds["radius"] = table.ids, table.radii
    kinds["name"] = [_cut(name) for name in table.names]
    kinds["priority"] = [_urgency(priority) for priority in table.priorities]
    centres = np.ascontiguousarray(table.centres, np.float32).reshape(-1)
    arrays["heads"][half] = head
    arrays["centres"][half, : centres.size] = centres
    arrays["checks"][half] = _check(head, centres)
    arrays["version"][0] = version  # last: whoever dies before leaves the table as it was


def version_of(arrays: Arrays) -> int:
    """Of the latest table; 0 before the first."""
    return int(arrays["version"][0])


def read(arrays: Arrays, known_version: int) -> tuple[int, Table] | None:
    """The latest table and its version; None where it is the *known_version*, or is being written too fast to be read.

    In no order of writes is a torn one taken for whole.
    """
    for _ in range(READ_ATTEMPTS):
        version = version_of(arrays)
        if version in (0, known_version):
            return None
        half = version % 2
        head, check = arrays["heads"][half].copy(), int(arrays["checks"][half])
        count, coordinates = int(head["count"]), int(head["coordinates"])
        if head["version"] != version or not (0 <= count <= KINDS_MAX and 0 <= coordinates <= COORDINATES_MAX):
            continue
        centres = arrays["centres"][half, : count * coordinates].copy()
        if version == version_of(arrays) and check == _check(head, centres):
            return version, _table(head, centres.reshape(count, coordinates))
    return None


def _table(head: Any, centres: npt.NDArray[np.float32]) -> Table:
    kinds = head["kinds"][: len(centres)]
    return Table(
        space=bytes(head["space"]).decode(),
        ids=tuple(kinds["id"].tolist()),
        names=tuple(name.decode() for name in kinds["name"].tolist()),
        priorities=tuple(None if rank < 0 else PRIORITIES[rank] for rank in kinds["priority"].tolist()),
        centres=centres,
        radii=kinds["radius"].copy(),
    )


def _check(head: Any, centres: npt.NDArray[np.float32]) -> int:
    return zlib.crc32(centres.tobytes(), zlib.crc32(head.tobytes()))


def _cut(name: str) -> bytes:
    """*name* in as many bytes as there are, no character of it split."""
    return name.replace("\0", "").encode()[:NAME_BYTES].decode(errors="ignore").encode()


def _urgency(priority: Priority | None) -> int:
    return -1 if priority is None else PRIORITIES.index(priority)
