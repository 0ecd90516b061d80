"""What the chart that remembers held at moments past, so that frames of an event can be judged again as they were.

The engine keeps a note now and then, in shared memory; the recorder looks up the latest one from before the frames that
it is to write. At 10,000 frames/s that is one note in some thirty milliseconds.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from calibration.memory import State
from calibration.mewma import MewmaState
from monitor.shared import Arrays, Fields
from monitor.types import TEXT_BYTES

NOTES: Final = 256
SPACING: Final = 128
"""Notes in the time that the ring holds: twice as many are kept, so that none is overwritten before its frames are."""

CONTEXTS_MOST: Final = 8
"""Contexts whose memories a note holds; those of others begin anew when frames are judged again."""


class Note(NamedTuple):
    """What held before the frame at ring position *position*, if that is of *stream*; of another it is nothing."""

    position: int
    stream: bytes
    remembered: Mapping[bytes, MewmaState]  # by context


def fields(memories: int, latent: int) -> Fields:
    """The arrays of the notes, of so many *memories* of latents of size *latent*; 0: none are kept."""
    slots = NOTES if memories else 0
    text = f"S{TEXT_BYTES}"
    return {
        "count": ("i8", (1,)),
        "positions": ("i8", (slots,)),
        "streams": (text, (slots,)),
        "held": ("i8", (slots,)),  # contexts
        "contexts": (text, (slots, CONTEXTS_MOST)),
        "taken": ("i8", (slots, CONTEXTS_MOST)),
        "memories": ("f8", (slots, CONTEXTS_MOST, memories, latent)),
    }


def of_arrays(arrays: Arrays, slots: int, written: int) -> "NoteBook | None":
    """What the engine keeps notes in, of a ring of so many *slots* and frames *written*; None: none are wanted."""
    return NoteBook(arrays, slots, written) if len(arrays["positions"]) else None


class NoteBook:
    """Keeps notes. Used by the engine's thread."""

    def __init__(self, arrays: Arrays, slots: int, written: int) -> None:
        self._arrays = arrays
        self._spacing = max(slots // SPACING, 1)
        self._due = written
        self.keep(written, b"", {})  # a judge that has just begun remembers nothing

    def keep(self, position: int, stream: bytes, remembered: State) -> None:
        """Note what is *remembered* before the frame at *position*, unless that was done a moment ago."""
        if position < self._due:
            return
        self._due = position + self._spacing
        arrays = self._arrays
        count = int(arrays["count"][0])
        slot = count % NOTES
        some = list(remembered.items())[-CONTEXTS_MOST:]
        arrays["positions"][slot], arrays["streams"][slot], arrays["held"][slot] = position, stream, len(some)
        for place, (context, held) in enumerate(some):
            arrays["contexts"][slot, place], arrays["taken"][slot, place] = context, held.taken
            arrays["memories"][slot, place] = held.memory
        arrays["count"][0] = count + 1  # last: a reader sees the note whole or not at all


def before(arrays: Arrays, position: int) -> Note | None:
    """The latest note of what held before *position* or earlier; None where none is left from there."""
    count, slots = int(arrays["count"][0]), len(arrays["positions"])
    kept = np.arange(max(count - slots + 1, 0), count)
    positions = arrays["positions"][kept % max(slots, 1)]
    found = np.flatnonzero(positions <= position)
    if len(found) == 0:
        return None
    index = int(kept[found[-1]])
    slot = index % slots
    held = int(arrays["held"][slot])
    contexts, taken = arrays["contexts"][slot, :held].tolist(), arrays["taken"][slot, :held].tolist()
    memories: npt.NDArray[np.float64] = arrays["memories"][slot, :held].copy()
    note = Note(
        int(arrays["positions"][slot]),
        bytes(arrays["streams"][slot]),
        {context: MewmaState(memories[place], taken[place]) for place, context in enumerate(contexts)},
    )
    return note if int(arrays["count"][0]) - index < slots else None  # it was overwritten meanwhile
