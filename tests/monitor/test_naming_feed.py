"""What waits to be named is bounded, whatever becomes of the process that names it."""

import logging
import os
from collections.abc import Iterator
from contextlib import closing
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from daemon_example import record
from side_example import wait_for

from monitor.taxonomy.config import Taxonomy
from monitor.taxonomy.launcher import Task
from monitor.taxonomy.namer_feed import TRIES, WAITING_MOST, NamerFeed, _Offered, message, received
from monitor.types import Peak

FRAME = np.zeros((8, 8), np.uint8)
PATIENCE_S = 60.0


@pytest.fixture
def feed(tmp_path: Path) -> Iterator[NamerFeed]:
    """Of a process that cannot start: there is no bundle."""
    task = Task(str(tmp_path / "kinds.db"), "melt", str(tmp_path / "no bundle"), Taxonomy(), os.getpid())
    with closing(NamerFeed(task, lambda: None)) as made:
        yield made


def test_the_oldest_are_dropped_and_counted_and_whoever_offers_waits_for_nothing(feed: NamerFeed) -> None:
    for event in range(WAITING_MOST + 3):
        feed.offer(record("began", event), FRAME)
    feed.offer(record("grew", WAITING_MOST + 2), FRAME + 1)
    assert feed.dropped == 3
    assert [key[1] for key in feed._waiting] == list(range(3, WAITING_MOST + 3))
    assert feed.named(7) == []


def test_of_an_event_only_more_extreme_frames_are_wanted(feed: NamerFeed) -> None:
    assert feed.wants(record("began"))
    feed.offer(record("began"), FRAME)
    assert not feed.wants(record("grew", last_seq=20))
    assert feed.wants(record("grew", peak=Peak(13, 61.0, 50.0, 1.22)))
    assert not feed.wants(record("began", 2, peak=None))


def test_a_frame_on_which_the_process_ends_twice_is_given_up(feed: NamerFeed) -> None:
    for tries in range(1, TRIES + 1):
        feed._waiting.clear()
        feed._put_back(_Offered(record("began"), FRAME, tries))
    assert (feed._waiting, feed.dropped) == ({}, 1)


def test_a_process_that_cannot_start_is_told_of_once_with_its_reason(
    feed: NamerFeed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        wait_for(lambda: feed.failures >= 2, PATIENCE_S)
    told = [one.getMessage() for one in caplog.records]
    assert len(told) == 1
    assert "is no bundle" in told[0]


def test_messages_come_as_they_went_and_one_that_breaks_off_is_the_end() -> None:
    stream = BytesIO(message(b"one") + message(b"") + message(b"three")[:-1])
    assert [received(stream) for _ in range(4)] == [b"one", b"", None, None]
