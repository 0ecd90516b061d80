"""The picture of an alarm's peak frame: out of the ring while it holds that, else from the frames kept of events."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from monitor.alarms.alarm import Alarm
from monitor.taxonomy.records import Kept
from monitor.viewer import speech
from monitor.viewer.speech import Find, Question
from monitor.viewer.viewer import Viewer

DRAWN_MOST: Final = 48
"""Pictures that are remembered: however many look at an alarm, it is drawn once. Each takes up to 300 kB."""

Key = tuple[str, str, int]
"""Of an alarm and its peak, which may yet grow."""

Keeps = Callable[[Alarm], Kept | None]
"""The most extreme frame that is kept of an alarm; it may wait for a disk."""


class AlarmPictures:
    """Draws by *viewer* what is asked for. Of the event loop's thread, but that *keeps* is asked in another."""

    def __init__(self, viewer: Viewer, keeps: Keeps) -> None:
        self._viewer, self._keeps = viewer, keeps
        self._drawn: OrderedDict[Key, bytes] = OrderedDict()
        self._drawing: dict[Key, asyncio.Task[bytes]] = {}

    async def of(self, alarm: Alarm) -> bytes:
        """A Picture as JSON; empty where no frame of *alarm* was kept. Raises HelperError, and what *keeps* does."""
        if alarm.peak is None:
            return b""
        key = alarm.id, alarm.stream, alarm.peak.seq
        if key in self._drawn:
            self._drawn.move_to_end(key)
            return self._drawn[key]
        task = self._drawing.get(key)
        if task is None:
            task = self._drawing[key] = asyncio.create_task(self._draw(key, alarm))
            task.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(task)  # whoever asked first may go, and others wait

    def _finish(self, key: Key, done: "asyncio.Task[bytes]") -> None:
        del self._drawing[key]
        if not done.cancelled():
            done.exception()  # all who waited may be gone: nobody is to be told

    async def _draw(self, key: Key, alarm: Alarm) -> bytes:
        _, stream, seq = key
        found = await self._viewer.ask(Find(stream, seq))
        if not found:
            kept = await asyncio.to_thread(self._keeps, alarm)
            if kept is not None:
                found = await self._viewer.ask(*question_of(kept, alarm))
        if found:
            self._drawn[key] = found
            while len(self._drawn) > DRAWN_MOST:
                self._drawn.popitem(last=False)
        return found


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
