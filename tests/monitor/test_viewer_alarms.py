"""The picture of an alarm's peak: out of the ring, else of the frame that was kept, and drawn once for all who look."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import frames
import pytest
from alarm_example import revisions_of
from daemon_example import record
from taxonomy_example import kept
from viewer_example import Floor, floor_of, picture_of

from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.taxonomy.records import Kept
from monitor.types import Peak
from monitor.viewer import alarms as alarm_pictures
from monitor.viewer.alarms import AlarmPictures, question_of
from monitor.viewer.helper import HelperError
from monitor.viewer.viewer import Viewer

SPOTTED = frames.with_spot(frames.normal(8, 60), 20, 9)


@pytest.fixture
def floor(small_bundle: Bundle, tmp_path: Path) -> Iterator[Floor]:
    with floor_of(small_bundle, tmp_path) as made:
        yield made


def alarm_of(seq: int, event: int = 1, **more: object) -> Alarm:
    told = {"stream": "s", "peak": Peak(seq, 60.0, 50.0, 1.2), **more}
    return revisions_of(record("began", event=event, **told))[0].alarm


class Shelf:
    """Frames that were kept, by the number of the peak that is asked for; remembers what was asked for."""

    def __init__(self, frames: dict[int, Kept]) -> None:
        self._frames = frames
        self.asked: list[int] = []

    def __call__(self, alarm: Alarm) -> Kept | None:
        assert alarm.peak is not None
        self.asked.append(alarm.peak.seq)
        return self._frames.get(alarm.peak.seq)


def ask(floor: Floor, shelf: Callable[[Alarm], Kept | None], *alarms: Alarm) -> list[bytes]:
    async def main() -> list[bytes]:
        pictures = AlarmPictures(Viewer(floor.given), shelf)
        together = [await asyncio.gather(*(pictures.of(alarm) for alarm in alarms))]
        return [answer for answers in together for answer in answers]

    return asyncio.run(main())


def test_it_comes_from_the_ring_while_that_holds_the_frame(floor: Floor) -> None:
    floor.show(SPOTTED)
    floor.judge(0, 8)
    shelf = Shelf({})
    [found] = ask(floor, shelf, alarm_of(5))
    assert picture_of(found).seq == 5
    assert picture_of(found).ratio > 1
    assert shelf.asked == []


def test_it_comes_from_what_was_kept_otherwise(floor: Floor) -> None:
    sample = kept(1, SPOTTED[0], seq=11, source="local", ratio=9.0)
    found, none, no_frame = ask(
        floor, Shelf({11: sample}), alarm_of(11), alarm_of(12, event=2), alarm_of(0, event=3, peak=None)
    )
    picture = picture_of(found)
    assert (picture.seq, picture.job, picture.layer, picture.context, picture.xy) == (
        11,
        "part",
        3,
        "hatch",
        (1.5, 2.5),
    )
    assert picture.source == "local"
    assert none == no_frame == b""


def test_however_many_look_it_is_drawn_once(floor: Floor) -> None:
    sample = kept(1, SPOTTED[0], seq=11)
    shelf, alarm = Shelf({11: sample}), alarm_of(11)

    async def main() -> None:
        pictures = AlarmPictures(Viewer(floor.given), shelf)
        first = asyncio.create_task(pictures.of(alarm))
        await asyncio.sleep(0)
        others = [asyncio.create_task(pictures.of(alarm)) for _ in range(50)]
        first.cancel()
        answers = {await one for one in others}
        answers.add(await pictures.of(alarm))
        assert len(answers) == 1

    asyncio.run(main())
    assert shelf.asked == [11]


def test_an_alarm_whose_peak_has_grown_is_drawn_anew(floor: Floor) -> None:
    shelf = Shelf({seq: kept(1, SPOTTED[0], seq=seq) for seq in (11, 12)})

    async def main() -> list[int]:
        pictures = AlarmPictures(Viewer(floor.given), shelf)
        return [picture_of(await pictures.of(alarm_of(seq))).seq for seq in (11, 12, 11)]

    assert asyncio.run(main()) == [11, 12, 11]
    assert shelf.asked == [11, 12]


def test_only_the_latest_are_remembered(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_pictures, "DRAWN_MOST", 2)
    shelf = Shelf({seq: kept(1, SPOTTED[0], seq=seq) for seq in range(3)})

    async def main() -> None:
        pictures = AlarmPictures(Viewer(floor.given), shelf)
        for seq in (0, 1, 0, 2, 0, 1):
            await pictures.of(alarm_of(seq, event=seq + 1))

    asyncio.run(main())
    assert shelf.asked == [0, 1, 2, 1]


def test_a_frame_that_is_not_there_is_looked_for_again_the_next_time(floor: Floor) -> None:
    held: dict[int, Kept] = {}
    shelf = Shelf(held)

    async def main() -> tuple[bytes, bytes]:
        pictures = AlarmPictures(Viewer(floor.given), shelf)
        before = await pictures.of(alarm_of(11))
        held[11] = kept(1, SPOTTED[0], seq=11)
        return before, await pictures.of(alarm_of(11))

    before, after = asyncio.run(main())
    assert before == b""
    assert picture_of(after).seq == 11


def test_what_keeps_frames_may_fail_and_whoever_asked_is_told(floor: Floor) -> None:
    def fail(_: Alarm) -> Kept | None:
        raise HelperError("no")

    with pytest.raises(HelperError, match="no"):
        ask(floor, fail, alarm_of(11))


def test_what_a_chart_remembered_is_known_of_the_peak_alone() -> None:
    alarm = alarm_of(11, source="mewma")
    remembered, _ = question_of(kept(1, seq=11, source="mewma"), alarm)
    earlier, _ = question_of(kept(1, seq=10, source="mewma"), alarm)
    assert getattr(remembered, "scores") == {"mewma": 60.0}  # noqa: B009  # of the kind of question that it is
    assert getattr(earlier, "scores") == {}  # noqa: B009
