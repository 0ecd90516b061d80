"""Segments that a person marked as not normal: they set no limit. The program never leaves out any by itself."""

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from calibration.charts import CalibrationError
from monitor.camera.recordings import Recording
from monitor.manifest import Excluded

_PIECE: Final = re.compile(r", frames \d+ to \d+$")
_MARKED: Final = re.compile(r"^(?P<group>.+?)(?::(?P<first>\d+)-(?P<last>\d+))?$")


class Exclusion(NamedTuple):
    """Frames *first* to *last* of a group, counted from 0; all of it where they are None."""

    group: str
    first: int | None = None
    last: int | None = None

    def __str__(self) -> str:
        return self.group if self.first is None else f"{self.group}:{self.first}-{self.last}"


def parse(marked: str) -> Exclusion:
    """An exclusion from GROUP or GROUP:FIRST-LAST. Raises ValueError where FIRST is beyond LAST."""
    found = _MARKED.match(marked)
    if found is None:
        raise ValueError("name a group, or GROUP:FIRST-LAST")
    if found["first"] is None:
        return Exclusion(found["group"])
    first, last = int(found["first"]), int(found["last"])
    if first > last:
        raise ValueError(f"'{marked}': the first frame is beyond the last")
    return Exclusion(found["group"], first, last)


def without(recordings: Sequence[Recording], exclusions: Sequence[Exclusion]) -> tuple[Recording, ...]:
    """*recordings* without the frames of *exclusions*, as the pieces that are left, in order.

    Raises CalibrationError for an exclusion that names no frame of any of them: it would be taken for done.
    """
    names = {recording.name for recording in recordings}
    for marked in exclusions:
        if marked.group not in names:
            known = ", ".join(sorted(names)[:5])
            raise CalibrationError(f"--exclude {marked}: no group of that name sets the limits; they are {known}, ...")
    return tuple(piece for recording in recordings for piece in _pieces(recording, exclusions))


def of_recordings(exclusions: Sequence[Exclusion], recordings: Sequence[Recording]) -> tuple[Excluded, ...]:
    """*exclusions*, which are of *recordings*, as the manifest holds them."""
    last = {recording.name: len(recording.frames) - 1 for recording in recordings}
    return tuple(
        Excluded(one.group, one.first or 0, last[one.group] if one.last is None else one.last) for one in exclusions
    )


def run_name(name: str) -> str:
    """*name* of a recording, or of that which a piece is of."""
    return _PIECE.sub("", name)


def _pieces(recording: Recording, exclusions: Sequence[Exclusion]) -> list[Recording]:
    count = len(recording.frames)
    marked = [one for one in exclusions if one.group == recording.name]
    if not marked:
        return [recording]
    pieces, start = [], 0
    for first, last in sorted((one.first or 0, count - 1 if one.last is None else one.last) for one in marked):
        if last >= count:
            raise CalibrationError(f"--exclude {recording.name}:{first}-{last}: it has only frames 0 to {count - 1}")
        if first > start:
            pieces.append(_piece(recording, start, first - 1))
        start = max(start, last + 1)
    return [*pieces, _piece(recording, start, count - 1)] if start < count else pieces


def _piece(recording: Recording, first: int, last: int) -> Recording:
    name = f"{recording.name}, frames {first} to {last}"
    return recording._replace(name=name, frames=recording.frames[first : last + 1])
