"""The picture of an alarm that is about frames: of its peak, or of the first frame of a camera fault, while any copy of
it exists. The ring is asked first, then the frames kept of events, then the recordings.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Final

import msgspec

from calibration.camera import FAULTS
from monitor.alarms.alarm import SERVICE_SOURCES, Alarm
from monitor.recorder.shelf import Shelf
from monitor.taxonomy.records import Kept
from monitor.viewer import speech
from monitor.viewer.speech import Among, Find, Question, Recorded, UnreadableError, Wanted
from monitor.viewer.viewer import Viewer

DRAWN_MOST: Final = 48
"""Pictures that are remembered: however many look at an alarm, it is drawn once. Each takes up to 300 kB."""

OTHERS_MOST: Final = 4
"""Recordings of other events in which a frame is looked for."""

Key = tuple[str, str, int]
"""Of an alarm and the frame that it is to be shown by, which may yet be another."""

Keeps = Callable[[Alarm], Kept | None]
"""The most extreme frame that is kept of an alarm; it may wait for a disk."""


class NoFrameError(ValueError):
    """No frame of an alarm can be shown: one line that says why."""


class _Shown(msgspec.Struct):
    """Of a Picture, which frame it shows."""

    seq: int


class AlarmPictures:
    """Draws by *viewer* what is asked for. Of the event loop's thread, but that disks are waited for in others."""

    def __init__(self, viewer: Viewer, keeps: Keeps, shelf: Shelf) -> None:
        self._viewer, self._keeps, self._shelf = viewer, keeps, shelf
        self._drawn: OrderedDict[Key, bytes] = OrderedDict()
        self._drawing: dict[Key, asyncio.Task[bytes]] = {}

    async def of(self, alarm: Alarm) -> bytes:
        """A Picture as JSON. Raises NoFrameError, HelperError, and what *keeps* does."""
        wanted = wanted_of(alarm)
        if wanted is None:
            raise NoFrameError(f"an alarm of source {alarm.source} is about no frame")
        if not self._viewer.has_network:
            raise NoFrameError("without a bundle nothing is drawn")
        key = alarm.id, wanted.stream, wanted.seq
        if key in self._drawn:
            self._drawn.move_to_end(key)
            return self._drawn[key]
        task = self._drawing.get(key)
        if task is None:
            task = self._drawing[key] = asyncio.create_task(self._draw(key, alarm, wanted))
            task.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(task)  # whoever asked first may go, and others wait

    def _finish(self, key: Key, done: "asyncio.Task[bytes]") -> None:
        del self._drawing[key]
        if not done.cancelled():
            done.exception()  # all who waited may be gone: nobody is to be told

    async def _draw(self, key: Key, alarm: Alarm, wanted: Wanted) -> bytes:
        found = await self._find(alarm, wanted)
        if msgspec.json.decode(found, type=_Shown).seq == wanted.seq:  # of another frame, there may be a better one
            self._drawn[key] = found
            while len(self._drawn) > DRAWN_MOST:
                self._drawn.popitem(last=False)
        return found

    async def _find(self, alarm: Alarm, wanted: Wanted) -> bytes:
        """The very frame from wherever it is, else another one of the alarm's."""
        if found := await self._viewer.ask(Find(wanted.stream, wanted.seq, wanted.fault)):
            return found
        kept = await asyncio.to_thread(self._keeps, alarm)
        asked = None if kept is None else question_of(kept, alarm)
        is_it = kept is not None and (kept.sample.stream, kept.sample.seq) == (wanted.stream, wanted.seq)
        if asked is not None and is_it:
            return await self._viewer.ask(*asked)
        found, why = await self._recorded(alarm, wanted)
        if found:
            return found
        if found := await self._viewer.ask(*(asked or (Among(wanted),))):
            return found
        which = "the first of this fault" if wanted.fault else "the peak of this alarm"
        raise NoFrameError(f"frame {wanted.seq}, {which}, is in the ring no more, and {why}")

    async def _recorded(self, alarm: Alarm, wanted: Wanted) -> tuple[bytes, str]:
        """Out of the alarm's recording, or of another one that holds the very frame; else why not."""
        why = "was neither kept nor recorded"
        questions = _places(self._shelf, alarm, wanted)
        while (question := await asyncio.to_thread(next, questions, None)) is not None:
            name = PurePath(question.path).name
            try:
                if found := await self._viewer.ask(question):
                    return found, ""
            except UnreadableError as error:
                told = str(error)
            else:
                told = f"{name} does not hold it"
            if alarm.recording is not None and name == PurePath(alarm.recording).name:
                why = told
        return b"", why


def wanted_of(alarm: Alarm) -> Wanted | None:
    """The frame that *alarm* is to be shown by: its peak; of a camera fault, whose frames have no score, the first.
    None of what is about the service.
    """
    if alarm.source in SERVICE_SOURCES:
        return None
    seq = alarm.first_seq if alarm.peak is None else alarm.peak.seq
    fault = FAULTS.index(alarm.source) + 1 if alarm.source in FAULTS else 0
    return Wanted(alarm.stream, seq, alarm.first_seq, alarm.last_seq, fault)


def _places(shelf: Shelf, alarm: Alarm, wanted: Wanted) -> Iterator[Recorded]:
    """Where to look: in the alarm's own recording, then in those of other events that go over the frame."""
    own = "" if alarm.recording is None else PurePath(alarm.recording).name
    if own:
        yield Recorded(str(shelf.folder / own), wanted, alarm.raised_t_ns)
    itself = msgspec.structs.replace(wanted, first_seq=wanted.seq, last_seq=wanted.seq)
    try:
        others = [
            one.path
            for one in shelf.shown()
            if one.name != own
            and one.stream == wanted.stream
            and (one.first_seq is not None and one.last_seq is not None)
            and one.first_seq <= wanted.seq <= one.last_seq
        ]
    except OSError:
        return
    for path in others[:OTHERS_MOST]:
        yield Recorded(path, itself, alarm.raised_t_ns)


def question_of(kept: Kept, alarm: Alarm) -> tuple[Question, bytes]:
    """How the frame *kept* of *alarm* is asked for. What its chart remembered then is known of the peak alone."""
    one = kept.sample
    scores = {}
    if alarm.peak is not None and one.seq == alarm.peak.seq and one.source == alarm.source == "mewma":
        scores[alarm.source] = alarm.peak.score
    facts = speech.Kept(
        stream=one.stream,
        seq=one.seq,
        t_ns=one.t_ns,
        layer=one.layer,
        job=one.job,
        context=one.context,
        xy=None if one.x is None or one.y is None else (one.x, one.y),
        scores=scores,
    )
    return facts, kept.pixels.tobytes()
