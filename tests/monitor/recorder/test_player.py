"""Recordings of events as a camera: a reader gets what the recorder's camera sent. Real sockets, nobody waits."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from frames import normal, with_spot
from publisher_example import START_NS, Clock, Reader, data, meet, pixels
from recorder_example import plant

from monitor import cli
from monitor.bundle import Bundle
from monitor.camera.player import Player
from monitor.camera.recordings import read
from monitor.recorder.recording import Recorded
from monitor.types import Message
from monitor.wire import native


@pytest.fixture
def reader() -> Iterator[Reader]:
    made = Reader()
    yield made
    made.close()


@pytest.fixture(scope="module")
def path(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recording with several contexts, layers and places, a gap, and frames that were not judged."""
    folder = tmp_path_factory.mktemp("played")
    with plant(small_bundle, folder) as works:
        works.send(normal(30, 1), context="hatch", job="one", layer=3, xy=(1.0, 2.0))
        places = np.zeros(6, native.PLACE)
        places["x"], places["y"], places["active"] = np.arange(6), 7.0, 1
        works.send(with_spot(normal(6, 2)), context="contour", job="one", layer=3, places=places)
        works.seq += 7
        works.send(normal(5, 3), context="hatch", job="two", layer=4, active=False)
        works.send(normal(40, 4), context="hatch", job="two", layer=4)
        (name,) = works.record()
    return folder / name


def held_in(path: Path) -> Recorded:
    recorded = read(str(path)).recorded
    assert recorded is not None
    return recorded


def played(recorded: Recorded, reader: Reader, rate_hz: float | None = None, **options: int) -> list[Message]:
    clock = Clock()
    how = {"clock": clock, "sleep": clock.sleep, "wall_ns": clock.wall_ns, **options}
    with Player("tcp://127.0.0.1:0", 1000.0, camera="cam", **how) as player:  # type: ignore[arg-type]  # by name
        meet(player, reader)
        sent = player.play(recorded, rate_hz)
        assert sent.frames == len(recorded.frames)
    return data(reader.receive_until_end())


@pytest.mark.parametrize("together", [1, 4, 64])
def test_every_frame_comes_with_its_own_number_time_and_facts(path: Path, reader: Reader, together: int) -> None:
    recorded = held_in(path)
    found = played(recorded, reader, frames_per_message=together)
    columns, at = recorded.columns, 0
    for message in found:
        header = message.header
        for index in range(header.count):
            assert header.seq + index == columns["seq"][at]
            since_ns = columns["t_ns"][at] - columns["t_ns"][0]
            assert header.t_ns + index * header.dt_ns == START_NS + since_ns
            assert header.context.encode() == columns["context"][at]
            assert header.job.encode() == columns["job"][at]
            assert header.layer == columns["layer"][at]
            assert header.active == columns["active"][at]
            if message.places is not None:
                assert [message.places["x"][index], message.places["y"][index]] == columns["xy"][at].tolist()
            else:
                assert np.isnan(columns["xy"][at]).all()
            at += 1
        np.testing.assert_array_equal(pixels(message), recorded.frames[at - header.count : at])
    assert at == len(recorded.frames)


def test_a_job_ends_with_its_last_message(path: Path, reader: Reader) -> None:
    found = played(held_in(path), reader, frames_per_message=64)
    ends = [(one.header.job, one.header.end) for one in found]
    assert [job for job, end in ends if end] == ["one", "two"]


def test_another_rate_spaces_the_numbers_evenly(path: Path, reader: Reader) -> None:
    found = played(held_in(path), reader, rate_hz=500.0, frames_per_message=1)
    first = found[0].header
    assert all(one.header.t_ns - first.t_ns == (one.header.seq - first.seq) * 2_000_000 for one in found)


def test_other_frames_need_a_rate(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "frames.npy", normal(5, 1))
    assert cli.main(["replay", str(tmp_path / "frames.npy"), "--endpoint", "tcp://127.0.0.1:0"]) == 2
    assert "give a --rate" in capsys.readouterr().err
