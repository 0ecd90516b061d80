"""What OPC UA clients may do to alarms: they ask the desk as everybody else does."""

import asyncio
import os

import msgspec

from monitor.alarms.acts import Acknowledge, Asked, Comment, PutBack, Shelve
from monitor.desk import Desk


class People:
    """Asks *desk* and rings *wake_fd*, so that it is done at once. Each answer is None, or in words why not."""

    def __init__(self, desk: Desk, wake_fd: int) -> None:
        self._desk, self._wake_fd = desk, wake_fd

    async def acknowledge(self, alarm_id: str, by: str, comment: str) -> str | None:
        return await self._ask(alarm_id, Acknowledge(by[:100], None, comment[:500]))

    async def comment(self, alarm_id: str, by: str, text: str) -> str | None:
        return await self._ask(alarm_id, Comment(by[:100], text[:500]))

    async def shelve(self, alarm_id: str, by: str, for_s: float) -> str | None:
        return await self._ask(alarm_id, Shelve(by[:100], for_s))

    async def unshelve(self, alarm_id: str, by: str) -> str | None:
        return await self._ask(alarm_id, PutBack(by[:100], "shelved"))

    async def _ask(self, alarm_id: str, asked: Asked) -> str | None:
        try:
            waiting = self._desk.ask(alarm_id, asked)
        except msgspec.ValidationError as error:
            return str(error)
        os.eventfd_write(self._wake_fd, 1)
        answer = await asyncio.shield(asyncio.wrap_future(waiting))
        return None if answer.refused is None else answer.refused.why
