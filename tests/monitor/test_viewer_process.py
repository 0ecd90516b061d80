"""The process that draws, as it is started and asked: it reads the ring itself, and ends with who started it."""

import asyncio
import os
import select
from collections.abc import Iterator
from pathlib import Path

import frames
import msgspec
import numpy as np
import pytest
from viewer_example import Floor, floor_of, picture_of

from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.config import Network
from monitor.orders import open_memory
from monitor.viewer import helper as helpers
from monitor.viewer.helper import Helper, HelperError
from monitor.viewer.speech import Find, Kept, Newest

PATIENCE_S = 60.0
SPOTTED = frames.with_spot(frames.normal(8, 60), 20, 9)


@pytest.fixture
def floor(small_bundle: Bundle, tmp_path: Path) -> Iterator[Floor]:
    with floor_of(small_bundle, tmp_path) as made:
        yield made


def test_it_draws_the_worst_since_the_last_and_what_it_is_given(floor: Floor) -> None:
    floor.show(frames.normal(6, 61))
    floor.show(SPOTTED[:2], 6)
    floor.judge(0, 8)

    async def talk() -> list[bytes]:
        helper = await helpers.start(floor.given)
        try:
            assert os.getpriority(os.PRIO_PROCESS, helper.pid) == os.getpriority(os.PRIO_PROCESS, 0) + 10
            answers = [await helper.ask(Newest(anew=True)), await helper.ask(Newest())]
            floor.show(SPOTTED[2:3], 8)
            floor.judge(8, 9)
            answers += [await helper.ask(one) for one in (Newest(), Find("s", 3), Find("s", 999))]
            kept = Kept(stream="old", seq=5, t_ns=1, layer=3, job="j", context="", xy=(1.0, 2.0))
            return [*answers, await helper.ask(kept, SPOTTED[5].tobytes())]
        finally:
            await helper.close()

    first, none, next_, found, missing, kept = asyncio.run(talk())
    assert picture_of(first).seq in (6, 7)
    assert picture_of(first).ratio > 1
    assert none == missing == b""
    assert picture_of(next_).seq == 8
    assert picture_of(found).seq == 3
    assert (picture_of(kept).stream, picture_of(kept).seq, picture_of(kept).xy) == ("old", 5, (1.0, 2.0))


def test_it_loads_no_torch_where_compiled_loops_score(floor: Floor) -> None:
    async def maps() -> str:
        helper = await helpers.start(floor.given)
        try:
            return Path(f"/proc/{helper.pid}/maps").read_text()
        finally:
            await helper.close()

    loaded = asyncio.run(maps())
    assert "llvmlite" in loaded
    assert "libtorch" not in loaded


def test_it_loads_torch_where_the_network_needs_it(tmp_path: Path) -> None:
    settings = msgspec.structs.replace(frames.QUICK, network=Network(linear=True))
    with floor_of(calibrate(frames.runs(6, 60), settings, tmp_path / "bundle"), tmp_path) as floor:
        floor.show(SPOTTED)
        floor.judge(0, 8)

        async def talk() -> tuple[bytes, str]:
            helper = await helpers.start(floor.given)
            try:
                return await helper.ask(Newest(anew=True)), Path(f"/proc/{helper.pid}/maps").read_text()
            finally:
                await helper.close()

        answer, loaded = asyncio.run(talk())
        assert picture_of(answer).ratio == pytest.approx(float(floor.ring.view(0, 8).joint.max()), rel=1e-5)
    assert "libtorch" in loaded


def test_it_ends_with_the_socket(floor: Floor) -> None:
    async def start() -> Helper:
        helper = await helpers.start(floor.given)
        ended = os.pidfd_open(helper.pid)
        helper._line.close()  # as when the side process is killed
        assert await asyncio.to_thread(select.select, [ended], [], [], PATIENCE_S) != ([], [], [])
        os.close(ended)
        with pytest.raises(HelperError, match="its process ended with status 0"):
            await helper.ask(Newest())
        return helper

    helper = asyncio.run(start())
    helper._said.close()


def test_a_bundle_that_was_replaced_is_told_in_one_line(floor: Floor) -> None:
    assert floor.given.bundle is not None
    other = msgspec.structs.replace(floor.given.bundle, sha256="cd" * 32)
    given = msgspec.structs.replace(floor.given, bundle=other)
    with pytest.raises(HelperError, match=r"^.*was replaced while the daemon ran; restart the daemon to use it$"):
        asyncio.run(helpers.start(given))


def test_a_process_that_hangs_is_given_up(floor: Floor) -> None:
    async def talk() -> None:
        helper = await helpers.start(floor.given)
        try:
            os.kill(helper.pid, 19)  # SIGSTOP
            with pytest.raises(HelperError, match=r"it has not answered for 0\.05 s"):
                await helper.ask(Newest(), patience_s=0.05)
        finally:
            await helper.close()

    asyncio.run(talk())


def test_it_cannot_write_what_it_reads(floor: Floor) -> None:
    ring = open_memory(floor.given, read_only=True).ring
    floor.show(frames.normal(1, 60))
    assert np.array_equal(ring["pixels"][0], frames.normal(1, 60)[0]), "it is the same memory"
    with pytest.raises(ValueError, match="read-only"):
        ring["pixels"][0] = 0
