"""The picture of an alarm's peak: out of the ring, else of the frame that was kept, and drawn once for all who look."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import frames
import msgspec
import numpy as np
import pytest
from alarm_example import revisions_of
from daemon_example import record
from taxonomy_example import kept
from viewer_example import Floor, floor_of, picture_of, pixels_of

from calibration.camera import FROZEN
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.recorder.shelf import Shelf as Recordings
from monitor.taxonomy.records import Kept
from monitor.types import Peak
from monitor.viewer import alarms as alarm_pictures
from monitor.viewer.alarms import AlarmPictures, NoFrameError, question_of
from monitor.viewer.helper import HelperError
from monitor.viewer.viewer import Viewer

SPOTTED = frames.with_spot(frames.normal(8, 60), 20, 9)
NO_RECORDINGS = Recordings(Path("/there/is/no/such/folder"))


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
        seq = alarm.first_seq if alarm.peak is None else alarm.peak.seq
        self.asked.append(seq)
        return self._frames.get(seq)


def ask(floor: Floor, shelf: Callable[[Alarm], Kept | None], *alarms: Alarm) -> list[bytes]:
    async def main() -> list[bytes]:
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
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
    [found] = ask(floor, Shelf({11: sample}), alarm_of(11))
    picture = picture_of(found)
    assert (picture.seq, picture.job, picture.layer, picture.context, picture.xy) == (
        11,
        "part",
        3,
        "hatch",
        (1.5, 2.5),
    )
    assert picture.source == "local"


def test_why_there_is_none_is_told_in_one_line(floor: Floor) -> None:
    neither = "is in the ring no more, and was neither kept nor recorded"
    for alarm, why in (
        (alarm_of(12), f"frame 12, the peak of this alarm, {neither}"),
        (alarm_of(0, source="dark", peak=None), f"frame 10, the first of this fault, {neither}"),
        (alarm_of(0, source="blind", peak=None), "an alarm of source blind is about no frame"),
    ):
        with pytest.raises(NoFrameError, match=f"^{why}$"):
            ask(floor, Shelf({}), alarm)
    bare = floor._replace(given=msgspec.structs.replace(floor.given, bundle=None))
    with pytest.raises(NoFrameError, match=r"^without a bundle nothing is drawn$"):
        ask(bare, Shelf({}), alarm_of(12))


def test_a_camera_fault_is_shown_by_its_first_frame_in_the_ring_and_claims_no_score(floor: Floor) -> None:
    floor.show(frames.normal(10, 60))
    floor.show(np.repeat(SPOTTED[:1], 5, axis=0), 10)
    floor.judge(0, 12)
    floor.ring.view(12, 15).fault[:] = FROZEN
    [found] = ask(floor, Shelf({}), alarm_of(0, source="frozen", peak=None, first_seq=12, last_seq=14))
    picture = picture_of(found)
    assert (picture.seq, picture.ratio, picture.source, picture.scores) == (12, None, None, {})
    assert (picture.drawn, picture.residual, picture.residual_most, picture.where) == (None, None, None, None)
    assert (picture.height, picture.width) == (32, 32)
    assert pixels_of(picture.seen)[20, 9, 0] > pixels_of(picture.seen)[4, 4, 0]


def test_a_fault_that_goes_on_is_shown_by_a_frame_that_the_ring_still_holds(floor: Floor) -> None:
    floor.show(np.repeat(SPOTTED[:1], 5, axis=0), 500)
    floor.ring.view(0, 5).fault[2:] = FROZEN
    alarm = alarm_of(0, source="frozen", peak=None, first_seq=12, last_seq=510)
    assert picture_of(ask(floor, Shelf({}), alarm)[0]).seq == 502


def test_where_the_peak_is_nowhere_the_worst_frame_of_the_alarm_that_the_ring_holds_is_shown(floor: Floor) -> None:
    floor.show(frames.normal(4, 60), 20)
    floor.show(SPOTTED[:1], 24)
    floor.show(frames.normal(4, 61), 25)
    floor.judge(0, 9)
    assert picture_of(ask(floor, Shelf({}), alarm_of(12, last_seq=27))[0]).seq == 24


def test_a_frame_that_is_not_the_one_meant_is_not_remembered_for_it(floor: Floor) -> None:
    shelf = Shelf({11: kept(1, SPOTTED[0], seq=10)})

    async def main() -> list[int]:
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
        first = picture_of(await pictures.of(alarm_of(11))).seq
        floor.show(SPOTTED[1:2], 11)
        return [first, picture_of(await pictures.of(alarm_of(11))).seq]

    assert asyncio.run(main()) == [10, 11]


def test_however_many_look_it_is_drawn_once(floor: Floor) -> None:
    sample = kept(1, SPOTTED[0], seq=11)
    shelf, alarm = Shelf({11: sample}), alarm_of(11)

    async def main() -> None:
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
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
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
        return [picture_of(await pictures.of(alarm_of(seq))).seq for seq in (11, 12, 11)]

    assert asyncio.run(main()) == [11, 12, 11]
    assert shelf.asked == [11, 12]


def test_only_the_latest_are_remembered(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alarm_pictures, "DRAWN_MOST", 2)
    shelf = Shelf({seq: kept(1, SPOTTED[0], seq=seq) for seq in range(3)})

    async def main() -> None:
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
        for seq in (0, 1, 0, 2, 0, 1):
            await pictures.of(alarm_of(seq, event=seq + 1))

    asyncio.run(main())
    assert shelf.asked == [0, 1, 2, 1]


def test_a_frame_that_is_not_there_is_looked_for_again_the_next_time(floor: Floor) -> None:
    held: dict[int, Kept] = {}
    shelf = Shelf(held)

    async def main() -> bytes:
        pictures = AlarmPictures(Viewer(floor.given), shelf, NO_RECORDINGS)
        with pytest.raises(NoFrameError):
            await pictures.of(alarm_of(11))
        held[11] = kept(1, SPOTTED[0], seq=11)
        return await pictures.of(alarm_of(11))

    assert picture_of(asyncio.run(main())).seq == 11


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
