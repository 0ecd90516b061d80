"""Live pictures in the side process: drawn while somebody looks, and whatever becomes of the process that draws."""

import asyncio
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import frames
import msgspec
import pytest
from viewer_example import Floor, floor_of, picture_of

from monitor.bundle import Bundle
from monitor.viewer.helper import HelperError
from monitor.viewer.speech import Find
from monitor.viewer.viewer import WAITING_MOST, Viewer

PATIENCE_S = 60.0
SPOTTED = frames.with_spot(frames.normal(8, 60), 20, 9)


@pytest.fixture
def floor(small_bundle: Bundle, tmp_path: Path) -> Iterator[Floor]:
    with floor_of(small_bundle, tmp_path) as made:
        made.show(SPOTTED[:4])
        made.judge(0, 4)
        yield made


class Looking:
    """Waits for what a viewer has to show."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer = viewer
        self.new = asyncio.Event()
        viewer.listen(self.new.set)

    async def number(self) -> int:
        """Of the next picture."""
        self.new.clear()
        async with asyncio.timeout(PATIENCE_S):
            await self.new.wait()
        found = self.viewer.latest()
        assert found is not None
        return found[0]

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not holds():
                await asyncio.sleep(0.005)  # nothing rings when a process is gone


def with_viewer(floor: Floor, act: Callable[[Viewer, Looking], Awaitable[None]], rest_s: float = 60.0) -> None:
    async def main() -> None:
        viewer = Viewer(floor.given, rest_s=rest_s, period_s=0.02, pauses_s=(0.01,))
        await act(viewer, Looking(viewer))

    asyncio.run(main())


def show(floor: Floor, seq: int) -> None:
    first = floor.show(SPOTTED[:1], seq)
    floor.judge(first, first + 1)


def test_whoever_looks_is_told_of_each_new_picture(floor: Floor) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        assert viewer.latest() is None
        assert viewer.helper is None, "nobody looks"
        viewer.wanted(1)
        assert await looking.number() == 1
        show(floor, 4)
        assert await looking.number() == 2
        found = viewer.latest()
        assert found is not None
        assert picture_of(found[1]).seq == 4

    with_viewer(floor, act)


def test_it_rests_when_nobody_looks_any_more(floor: Floor) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        viewer.wanted(2)
        await looking.number()
        assert viewer.helper is not None
        pid = viewer.helper.pid
        viewer.wanted(0)
        await looking.until(lambda: viewer.helper is None and not Path(f"/proc/{pid}").exists())
        viewer.wanted(1)
        assert viewer.latest() is None, "what somebody saw before is old"
        assert await looking.number() == 2, "numbers count up for ever"

    with_viewer(floor, act, rest_s=0.05)


def test_who_comes_back_in_time_finds_the_process_running(floor: Floor) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        viewer.wanted(1)
        await looking.number()
        assert viewer.helper is not None
        pid = viewer.helper.pid
        viewer.wanted(0)
        viewer.wanted(1)
        await looking.number()
        assert viewer.helper.pid == pid

    with_viewer(floor, act)


def test_a_process_that_dies_is_replaced_and_told_of_once(floor: Floor, caplog: pytest.LogCaptureFixture) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        viewer.wanted(1)
        await looking.number()
        for _ in range(2):
            assert viewer.helper is not None
            os.kill(viewer.helper.pid, signal.SIGKILL)
            await looking.number()

    with caplog.at_level(logging.ERROR):
        with_viewer(floor, act)
    [told] = caplog.records
    assert told.getMessage() == (
        "no pictures are drawn, and it is tried again while somebody looks: its process ended with status -9"
    )


def test_questions_are_answered_whether_anybody_looks_or_not(floor: Floor) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        found, none = await asyncio.gather(viewer.ask(Find("s", 2)), viewer.ask(Find("s", 77)))
        assert (picture_of(found).seq, none) == (2, b"")
        assert viewer.latest() is None, "that was for who asked"
        await looking.until(lambda: viewer.helper is None)

    with_viewer(floor, act, rest_s=0.05)


def test_who_waits_for_a_process_that_cannot_work_is_told_why(floor: Floor) -> None:
    config = msgspec.structs.replace(floor.given.config, bundle=str(floor.bundle.path / "no bundle"))
    floor = floor._replace(given=msgspec.structs.replace(floor.given, config=config))

    async def act(viewer: Viewer, looking: Looking) -> None:
        for _ in range(3):  # at once also while the next process is not started yet
            with pytest.raises(HelperError, match="no bundle"):
                await viewer.ask(Find("s", 2))

    with_viewer(floor, act)


def test_only_so_many_wait_at_a_time(floor: Floor) -> None:
    async def act(viewer: Viewer, looking: Looking) -> None:
        some = [asyncio.create_task(viewer.ask(Find("s", 2))) for _ in range(WAITING_MOST)]
        await asyncio.sleep(0)
        with pytest.raises(HelperError, match=f"{WAITING_MOST} pictures are waited for"):
            await viewer.ask(Find("s", 2))
        assert {picture_of(await one).seq for one in some} == {2}

    with_viewer(floor, act)


def test_without_a_bundle_there_is_nothing_to_draw(floor: Floor) -> None:
    floor = floor._replace(given=msgspec.structs.replace(floor.given, bundle=None))

    async def act(viewer: Viewer, looking: Looking) -> None:
        viewer.wanted(1)
        assert await viewer.ask(Find("s", 2)) == b""
        assert viewer.latest() is None
        assert len(asyncio.all_tasks()) == 1

    with_viewer(floor, act)
