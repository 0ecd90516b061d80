"""Live pictures in the side process: a process that draws runs while somebody looks, and is asked a few times a second.

All of it belongs to the event loop's thread, and nothing in it blocks. What goes wrong with the process is told once,
and the daemon goes on without pictures until another one runs.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from monitor.orders import Orders
from monitor.viewer import helper as helpers
from monitor.viewer.helper import Helper, HelperError
from monitor.viewer.speech import Newest, Question, UnreadableError

PERIOD_S: Final = 0.25
"""Between two live pictures, at least."""

REST_S: Final = 60.0
"""The process goes on so long after the last who looked has gone: to load a network takes seconds."""

PAUSES_S: Final = (1.0, 2.0, 5.0, 15.0, 60.0)
"""Before the process is started again, the first time, the second, ...; one that ran for STEADY_S begins anew."""

STEADY_S: Final = 60.0

WAITING_MOST: Final = 32
"""Pictures of alarms that are asked for at one time."""

_log = logging.getLogger(__name__)


class Asked:
    """A question of somebody who waits for the answer."""

    def __init__(self, question: Question, content: bytes) -> None:
        self.question, self.content = question, content
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()


class Viewer:
    """The newest picture for all who look, and answers to questions about single frames."""

    def __init__(
        self,
        given: Orders,
        rest_s: float = REST_S,
        period_s: float = PERIOD_S,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._orders = given
        self._rest_s, self._period_s, self._pauses_s = rest_s, period_s, pauses_s
        self._viewers = 0
        self._asked: deque[Asked] = deque()
        self._latest: tuple[int, bytes] | None = None
        self._number = 0
        self._anew = True
        self._listeners: list[Callable[[], None]] = []
        self._wake = asyncio.Event()
        self._working: asyncio.Task[None] | None = None
        self._left_s = 0.0  # of the loop's clock, when somebody last looked or asked
        self._told = False  # that pictures cannot be drawn
        self._failed: HelperError | None = None  # until another process is started
        self.helper: Helper | None = None  # while it runs

    def wanted(self, viewers: int) -> None:
        """So many look now."""
        if viewers and not self._viewers:
            self._latest, self._anew = None, True  # not what somebody else saw an hour ago
        self._viewers = viewers
        self._look_after()

    @property
    def has_network(self) -> bool:
        """Whether there is a bundle to draw by."""
        return self._orders.bundle is not None

    def latest(self) -> tuple[int, bytes] | None:
        """Number and JSON of the newest picture; None where there is none yet. Numbers count up for ever."""
        return self._latest

    def listen(self, told: Callable[[], None]) -> None:
        """Have *told* called in the event loop whenever there is a new picture."""
        self._listeners.append(told)

    async def ask(self, question: Question, content: bytes = b"") -> bytes:
        """The answer to a *question*; empty where there is nothing to draw.

        Raises HelperError where too many wait already, or the process that draws fails meanwhile, and UnreadableError.
        """
        if self._orders.bundle is None:
            return b""
        if len(self._asked) >= WAITING_MOST:
            raise HelperError(f"{WAITING_MOST} pictures are waited for already")
        if self._failed is not None:
            raise HelperError(str(self._failed))
        one = Asked(question, content)
        self._asked.append(one)
        self._look_after()
        return await one.answer

    def _look_after(self) -> None:
        """See that somebody works."""
        loop = asyncio.get_running_loop()
        self._left_s = loop.time()
        self._wake.set()
        if self._orders.bundle is not None and (self._working is None or self._working.done()):
            self._working = loop.create_task(self._work())

    def _is_needed(self) -> bool:
        since_s = asyncio.get_running_loop().time() - self._left_s
        return bool(self._viewers or self._asked) or since_s < self._rest_s

    async def _work(self) -> None:
        """Have a process until it is needed no more; where it fails, another one after a pause."""
        failures = 0
        while self._is_needed():
            began_s = asyncio.get_running_loop().time()
            try:
                await self._have_process()
            except HelperError as error:
                self._give_up(error)
                if asyncio.get_running_loop().time() - began_s > STEADY_S:
                    failures = 0
                await asyncio.sleep(self._pauses_s[min(failures, len(self._pauses_s) - 1)])
                self._failed = None
                failures += 1

    def _give_up(self, error: HelperError) -> None:
        """Nobody waits for longer than a process lives."""
        if not self._told:
            _log.error("no pictures are drawn, and it is tried again while somebody looks: %s", error)
        self._told, self._failed = True, error
        while self._asked:
            _answer(self._asked.popleft(), error)

    async def _have_process(self) -> None:
        """Raises HelperError."""
        helper = await helpers.start(self._orders)
        try:
            self.helper = helper
            self._anew = True  # it has looked at no frame before
            await self._feed(helper)
        finally:
            self.helper = None
            await helper.close()

    async def _feed(self, helper: Helper) -> None:
        loop = asyncio.get_running_loop()
        began_s = due_s = loop.time()
        while self._is_needed():
            now_s = loop.time()
            if now_s - began_s > STEADY_S:
                self._told = False
            if self._asked:
                await self._answer_one(helper)
            elif self._viewers and now_s >= due_s:
                due_s = now_s + self._period_s
                await self._look(helper)
            else:
                self._wake.clear()
                until_s = due_s if self._viewers else self._left_s + self._rest_s
                with suppress(TimeoutError):
                    async with asyncio.timeout_at(until_s):
                        await self._wake.wait()

    async def _answer_one(self, helper: Helper) -> None:
        one = self._asked.popleft()
        if one.answer.done():  # whoever asked waits no more
            return
        try:
            found: bytes | Exception = await helper.ask(one.question, one.content)
        except UnreadableError as error:  # of the question, and the process goes on
            found = error
        except HelperError as error:
            _answer(one, error)
            raise
        _answer(one, found)
        self._left_s = asyncio.get_running_loop().time()

    async def _look(self, helper: Helper) -> None:
        anew, self._anew = self._anew, False
        found = await helper.ask(Newest(anew))
        if not found or not self._viewers:
            return
        self._number += 1
        self._latest = self._number, found
        for told in self._listeners:
            told()


def _answer(one: Asked, found: bytes | Exception) -> None:
    if one.answer.done():
        return
    if isinstance(found, bytes):
        one.answer.set_result(found)
    else:
        one.answer.set_exception(found)
