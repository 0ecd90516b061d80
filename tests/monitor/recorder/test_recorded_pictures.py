"""The picture of an alarm out of a recording: of a camera fault, whose frames have no score, and of a peak; also where
the file is gone or damaged, or was made by another bundle.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import msgspec
import numpy as np
import pytest
from alarm_example import revisions_of
from daemon_example import record
from frames import QUICK, normal, runs, with_spot
from recorder_example import Plant, plant
from viewer_example import Floor, floor_of, picture_of, pixels_of

from calibration.camera import DARK
from monitor.alarms.alarm import Alarm
from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.recorder.shelf import Shelf
from monitor.types import Peak, Pixels
from monitor.viewer.alarms import AlarmPictures, NoFrameError
from monitor.viewer.picture import Painter, Picture
from monitor.viewer.recorded import one_of
from monitor.viewer.speech import UnreadableError, Wanted
from monitor.viewer.viewer import Viewer

NORMAL = normal(30, 1)
FROZEN = np.repeat(normal(1, 2), 9, axis=0)
BEFORE, AT_FAULT = len(NORMAL), 32  # the third of one picture is the first at fault
SPOTTED = with_spot(normal(4, 3), 20, 9)


@pytest.fixture
def works(small_bundle: Bundle, tmp_path: Path) -> Iterator[Plant]:
    with plant(small_bundle, tmp_path / "kept") as made:
        yield made


def recorded(works: Plant, *shown: Pixels) -> Path:
    """The recording of an event within frames that begin with NORMAL."""
    for frames in (NORMAL, *shown, normal(40, 9)):
        works.send(frames, job="part", layer=3, xy=None)
    return works.shelf.path(works.record()[-1])


def alarm_of(path: Path | None, source: str = "frozen", **more: object) -> Alarm:
    told = {"stream": "one", "source": source, "peak": None, "first_seq": AT_FAULT, "last_seq": 38, **more}
    alarm = revisions_of(record("began", **told))[0].alarm
    return msgspec.structs.replace(alarm, recording=None if path is None else str(path))


def ask(bundle: Bundle, folder: Path, alarm: Alarm, shelf: Path) -> Picture:
    """What a daemon whose ring holds no such frame, and that has kept none, shows of *alarm*."""
    with floor_of(bundle, folder) as floor:
        return asyncio.run(_ask(floor, alarm, Shelf(shelf)))


async def _ask(floor: Floor, alarm: Alarm, shelf: Shelf) -> Picture:
    return picture_of(await AlarmPictures(Viewer(floor.given), lambda _: None, shelf).of(alarm))


def test_a_camera_fault_is_shown_by_its_first_frame_alone_and_claims_no_score(
    works: Plant, small_bundle: Bundle, tmp_path: Path
) -> None:
    path = recorded(works, FROZEN)
    found = ask(small_bundle, tmp_path, alarm_of(path), path.parent)
    assert (found.seq, found.stream, found.job, found.layer) == (AT_FAULT, "one", "part", 3)
    assert (found.ratio, found.source, found.scores, found.where) == (None, None, {}, None)
    assert (found.drawn, found.residual, found.residual_most) == (None, None, None)
    black, white = found.scale
    expected = np.clip((FROZEN[0].astype(float) - black) / (white - black), 0, 1) * 255
    assert pixels_of(found.seen)[..., 0] == pytest.approx(expected, abs=1), "as the camera sent it"


def test_where_the_first_frame_of_a_fault_is_not_there_another_one_at_fault_is_shown(
    works: Plant, small_bundle: Bundle, tmp_path: Path
) -> None:
    path = recorded(works, FROZEN)
    before_the_file = alarm_of(path, first_seq=5)
    assert ask(small_bundle, tmp_path, before_the_file, path.parent).seq == AT_FAULT


def test_a_dark_frame_looks_dark_and_a_saturated_one_white(works: Plant, small_bundle: Bundle, tmp_path: Path) -> None:
    for frame, source, shade in ((np.zeros, "dark", 0), (lambda *a: np.full(*a, 255), "saturated", 255)):
        shown = np.uint8(frame((2, 32, 32)))  # type: ignore[operator]
        first = works.seq + BEFORE
        path = recorded(works, shown)
        found = ask(small_bundle, tmp_path, alarm_of(path, source, first_seq=first, last_seq=first + 1), path.parent)
        assert found.seq == first
        assert (pixels_of(found.seen) == shade).all(), source


def test_a_peak_has_the_scores_that_it_was_given(works: Plant, small_bundle: Bundle, tmp_path: Path) -> None:
    path = recorded(works, SPOTTED)
    with h5py.File(path) as file:
        peak = int(file["peak"].attrs["index"])
        seq, joint = int(file["seq"][peak]), float(file["scores/joint"][peak])
        given = {chart: float(file[f"scores/{chart}"][peak]) for chart in small_bundle.manifest.charts}
    alarm = alarm_of(path, "local", peak=Peak(seq, 60.0, 50.0, 1.2), first_seq=30, last_seq=33)
    found = ask(small_bundle, tmp_path, alarm, path.parent)
    assert found.seq == seq
    assert found.ratio == pytest.approx(joint, rel=1e-5)
    assert {chart: score for chart, (score, _) in found.scores.items()} == pytest.approx(given, rel=1e-6)
    assert found.where is not None
    assert max(abs(found.where[0] - 20), abs(found.where[1] - 9)) <= 4


def test_by_another_bundle_it_is_judged_anew_and_frames_of_another_size_are_shown_alone(
    works: Plant, small_bundle: Bundle, tmp_path: Path
) -> None:
    path = recorded(works, SPOTTED)
    wanted = Wanted("one", 30, 30, 33)
    held = one_of(path, wanted, 7)
    assert held is not None
    other = calibrate(runs(8), msgspec.structs.replace(QUICK, latent=3), tmp_path / "other")
    anew = Painter(other).of_kept(msgspec.structs.replace(held.facts, scores={}), held.pixels)
    assert Painter(other).of_recorded(held) == anew
    small = held._replace(pixels=held.pixels[:16].astype(np.uint16) * 16)
    found = Painter(small_bundle).of_recorded(small)
    assert (found.height, found.width, found.t_ns) == (16, 32, 7)
    assert (found.ratio, found.source, found.scores, found.drawn, found.residual) == (None, None, {}, None, None)
    assert pixels_of(found.seen).max() == 255


def test_a_frame_without_a_recording_of_its_own_comes_out_of_that_of_another_event(
    works: Plant, small_bundle: Bundle, tmp_path: Path
) -> None:
    path = recorded(works, SPOTTED)
    rate = alarm_of(None, "exceedance_rate", peak=Peak(31, 9.0, 5.0, 1.8), first_seq=0, last_seq=5000)
    assert ask(small_bundle, tmp_path, rate, path.parent).seq == 31
    elsewhere = msgspec.structs.replace(rate, peak=Peak(4000, 9.0, 5.0, 1.8))
    with pytest.raises(
        NoFrameError, match=r"^frame 4000, the peak of this alarm, is in the ring no more, and was neither kept nor rec"
    ):
        ask(small_bundle, tmp_path, elsewhere, path.parent)


def test_a_recording_that_is_gone_or_damaged_is_told_in_one_line_and_the_next_picture_is_drawn(
    works: Plant, small_bundle: Bundle, tmp_path: Path
) -> None:
    path = recorded(works, FROZEN)
    whole, said = path.read_bytes(), "^frame 32, the first of this fault, is in the ring no more, and "
    alarm = alarm_of(path)

    async def talk(floor: Floor) -> None:
        pictures = AlarmPictures(Viewer(floor.given), lambda _: None, Shelf(path.parent))
        for damage in (whole[:100], whole[: len(whole) // 2], b"", bytes(len(whole))):
            path.write_bytes(damage)
            with pytest.raises(NoFrameError, match=f"{said}{path.name} cannot be read: it is damaged$"):
                await pictures.of(alarm)
        path.unlink()
        with pytest.raises(NoFrameError, match=f"{said}{path.name} is gone$"):
            await pictures.of(alarm)
        path.write_bytes(whole)
        assert picture_of(await pictures.of(alarm)).seq == AT_FAULT

    with floor_of(small_bundle, tmp_path) as floor:
        asyncio.run(talk(floor))


@pytest.mark.parametrize("name", ["frames", "seq", "stream", "fault", "scores/joint", "judged_ns", "xy", "scores"])
def test_a_file_that_lacks_something_is_damaged(works: Plant, name: str) -> None:
    path = recorded(works, FROZEN)
    with h5py.File(path, "r+") as file:
        del file[name]
    with pytest.raises(UnreadableError, match=r"it is damaged$"):
        one_of(path, Wanted("one", AT_FAULT, AT_FAULT, 38, 1), 0)


def test_a_newer_file_is_not_read(works: Plant) -> None:
    path = recorded(works, FROZEN)
    with h5py.File(path, "r+") as file:
        file.attrs["version"] = 99
    with pytest.raises(UnreadableError, match=r"its format is not known to this version$"):
        one_of(path, Wanted("one", AT_FAULT, AT_FAULT, 38, 1), 0)


def test_of_a_long_recording_one_frame_is_read(works: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    path = recorded(works, FROZEN)
    read: list[Any] = []
    plain = h5py.Dataset.__getitem__

    def watched(dataset: Any, key: Any, *more: Any, **named: Any) -> Any:
        read.append((dataset.name, key))
        return plain(dataset, key, *more, **named)

    monkeypatch.setattr(h5py.Dataset, "__getitem__", watched)
    found = one_of(path, Wanted("one", AT_FAULT, AT_FAULT, 38, 1), 0)
    assert found is not None
    assert [type(key) for name, key in read if name == "/frames"] == [int]


def test_no_frame_of_another_stream_is_shown(works: Plant) -> None:
    path = recorded(works, FROZEN)
    assert one_of(path, Wanted("two", AT_FAULT, AT_FAULT, 38, DARK), 0) is None
