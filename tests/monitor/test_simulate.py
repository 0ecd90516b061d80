"""A simulated camera on a socket: what is sent, and its truth in a file."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from monitor.camera.publisher import Publisher, Sent, Shot
from monitor.camera.schedule import Truth
from monitor.camera.simulate import (
    CAMERAS,
    CameraError,
    TruthError,
    TruthFile,
    camera_of,
    publish_simulated,
    read_truth,
    simulate,
)

RATE_HZ = 1000.0
PERIOD_NS = 1_000_000
START_NS = 1_700_000_000_000_000_000


class Film:
    """A camera that shows what it is told: shots of so many frames, with pauses before them, and anomalies."""

    def __init__(self, truths: Sequence[Truth] = (), shots: Sequence[tuple[int, float]] = ((100, 0.0),)) -> None:
        self._truths = truths
        self._shots = shots
        self._seq = 0

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        for count, pause_s in self._shots:
            if frames is not None:
                count = min(count, frames - self._seq)
            first, self._seq = self._seq, self._seq + count
            ended = tuple(truth for truth in self._truths if first <= truth.last_seq < self._seq)
            yield Shot(np.zeros((count, 24, 32), np.uint8), pause_s=pause_s), ended

    @property
    def unfinished(self) -> Truth | None:
        return next((truth for truth in self._truths if truth.first_seq < self._seq <= truth.last_seq), None)


class Time:
    """A clock that moves only in `sleep`."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def wall_ns(self) -> int:
        return START_NS


def published(
    film: Film, path: Path, frames: int | None = None, stop_s: float = math.inf, frames_per_message: int = 1
) -> Sent:
    """*film* sent at RATE_HZ from time 0 on, with its truth in the file *path*."""
    time = Time()
    with Publisher(
        "inproc://film",
        RATE_HZ,
        frames_per_message=frames_per_message,
        clock=time,
        sleep=time.sleep,
        wall_ns=time.wall_ns,
    ) as publisher:
        return publish_simulated(publisher, film, frames, path, wait_s=0.0, stop=lambda: time.now >= stop_s)


SPLASH, DIM, PLUME = Truth("splash", 5, 9, 1.0), Truth("dim", 20, 29, 0.7), Truth("plume", 40, 45, 1.2)


def at(seq: int) -> int:
    """When frame *seq* is exposed where no pause comes before it."""
    return START_NS + seq * PERIOD_NS


def timed(truth: Truth, last_seq: int | None = None) -> Truth:
    """*truth* as the file has it where no pause came before it."""
    last_seq = truth.last_seq if last_seq is None else last_seq
    return msgspec.structs.replace(truth, last_seq=last_seq, first_t_ns=at(truth.first_seq))


# The file


def test_the_truth_file_holds_what_was_sent_and_nothing_of_what_was_not(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    with TruthFile(path, at) as file:
        file.add((SPLASH, DIM, PLUME))
        file.sent(9)
        assert read_truth(path) == []
        file.sent(10)
        assert read_truth(path) == [timed(SPLASH)]
        file.finish(25)
    assert read_truth(path) == [timed(SPLASH), timed(DIM, 24)]


def test_a_truth_comes_back_from_the_file_with_all_it_says(tmp_path: Path) -> None:
    path = tmp_path / "truth.jsonl"
    full = Truth("drift", 3, 4, 0.9, layer=7, xy=(1.5, -2.0), context="hatch")
    with TruthFile(path, at) as file:
        file.add((full,))
        file.finish(10)
    assert read_truth(path) == [timed(full)]
    assert path.read_bytes().count(b"\n") == 1


GOOD = b'{"kind":"splash","first_seq":5,"last_seq":9,"strength":1.0}\n'


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"hello\n", 1),
        (GOOD + b"[1, 2]\n", 2),
        (GOOD + GOOD + b'{"kind":"splash"}\n', 3),
        (GOOD + b'{"kind":"splash","first_seq":"five","last_seq":9,"strength":1.0}\n', 2),
        (GOOD + GOOD[:-9], 2),
        (b'{"kind":"\xff","first_seq":5,"last_seq":9,"strength":1.0}\n', 1),
        (b"\x00\x01\x02", 1),
        (b"\x93NUMPY", 1),
    ],
)
def test_another_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: bytes, line: int) -> None:
    path = tmp_path / "other.bin"
    path.write_bytes(content)
    with pytest.raises(TruthError) as caught:
        read_truth(path)
    assert str(caught.value).startswith(f"{path}: line {line} is no truth (")
    assert "\n" not in str(caught.value)


@given(content=st.binary(max_size=40))
def test_any_bytes_are_truths_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    found: list[Truth] = []
    with contextlib.suppress(TruthError):
        found = read_truth(path)
    assert found == [], "40 bytes cannot hold a truth"


# Sending


@pytest.mark.parametrize("frames_per_message", [1, 7])
def test_each_truth_says_when_its_first_frame_was_exposed(tmp_path: Path, frames_per_message: int) -> None:
    """Frames 0 to 7 come at once, the next after one second, those from 30 on after another half."""
    path = tmp_path / "truth.jsonl"
    film = Film((SPLASH, DIM, PLUME), shots=((8, 0.0), (22, 1.0), (70, 0.5)))
    sent = published(film, path, frames_per_message=frames_per_message)
    assert (sent.frames, sent.late_s) == (100, pytest.approx(0.0, abs=1e-6))
    assert [truth.first_t_ns for truth in read_truth(path)] == [at(5), at(20) + 10**9, at(40) + 15 * 10**8]


@pytest.mark.parametrize(
    ("frames", "stop_at", "expected"),
    [
        (None, None, [timed(SPLASH), timed(DIM), timed(PLUME)]),
        (44, None, [timed(SPLASH), timed(DIM), timed(PLUME, 43)]),
        (None, 41, [timed(SPLASH), timed(DIM), timed(PLUME, 40)]),
        (None, 40, [timed(SPLASH), timed(DIM)]),
        (None, 7, [timed(SPLASH, 6)]),
        (5, None, []),
    ],
)
def test_the_truth_ends_where_the_frames_end(
    tmp_path: Path, frames: int | None, stop_at: int | None, expected: list[Truth]
) -> None:
    path = tmp_path / "truth.jsonl"
    stop_s = math.inf if stop_at is None else (stop_at - 0.5) / RATE_HZ
    sent = published(Film((SPLASH, DIM, PLUME)), path, frames, stop_s)
    assert sent.frames == (stop_at or frames or 100)
    assert read_truth(path) == expected


def test_a_truth_is_on_disk_before_the_next_frame_is_due(tmp_path: Path) -> None:
    """The one shot holds all frames, so nothing but the sending itself can have told."""
    path = tmp_path / "truth.jsonl"
    time = Time()
    found: dict[int, int] = {}  # frames sent -> truths in the file

    def look() -> bool:
        if path.exists():
            found[publisher.seq] = len(read_truth(path))
        return False

    with Publisher("inproc://film", RATE_HZ, clock=time, sleep=time.sleep) as publisher:
        publish_simulated(publisher, Film((SPLASH, DIM)), None, path, wait_s=0.0, stop=look)
    assert [found[seq] for seq in (9, 10, 29, 30)] == [0, 1, 1, 2]


def test_frames_of_the_size_that_was_asked_for_leave_under_the_name_of_the_camera(tmp_path: Path) -> None:
    context = zmq.Context()
    reader = context.socket(zmq.SUB)
    reader.setsockopt(zmq.RCVTIMEO, 5000)
    reader.subscribe(b"")
    endpoint = f"ipc://{tmp_path}/camera"
    reader.connect(endpoint)
    sent = simulate(Film(), endpoint, 5000.0, frames=80, camera="left", frames_per_message=20)
    name, header, pixels = reader.recv_multipart()
    reader.close(0)
    context.term()
    assert (sent.frames, sent.met) == (80, True)
    assert name == b"left"
    assert b'"shape":[20,24,32]' in header
    assert len(pixels) == 20 * 24 * 32


# Cameras that have a name


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_shows_frames_of_the_size_that_was_asked_for(name: str) -> None:
    simulated = camera_of(name, size=(32, 48), seed=3)
    shots = list(simulated.shots(7))
    assert sum(len(shot.pixels) for shot, _ in shots) == 7
    assert {shot.pixels.shape[1:] for shot, _ in shots} == {(32, 48)}
    assert simulated.unfinished is None


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_has_a_size_of_its_own(name: str) -> None:
    shot, _ = next(camera_of(name).shots(1))
    assert shot.pixels.shape == (1, CAMERAS[name].side_px, CAMERAS[name].side_px)


@pytest.mark.parametrize("name", CAMERAS)
def test_every_camera_is_the_same_again_from_the_same_seed(name: str) -> None:
    once, again, other = (
        np.concatenate([shot.pixels for shot, _ in camera_of(name, size=(32, 32), seed=seed).shots(20)])
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()


@pytest.mark.parametrize("name", CAMERAS)
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"size": (1, 64)}, "a side of 1 pixels"),
        ({"size": (64, 100_000)}, "a side of 100000 pixels"),
        ({"anomaly_rate": 2.0}, "an anomaly rate of 2.0"),
        ({"kinds": ("meteor",)}, "no such anomaly: meteor; there are "),
    ],
)
def test_what_a_camera_cannot_do_is_told_in_one_line(name: str, options: dict[str, object], says: str) -> None:
    with pytest.raises(CameraError) as caught:
        camera_of(name, **options)
    assert str(caught.value).startswith(f"{name}: {says}")
    assert "\n" not in str(caught.value)


def test_an_unknown_camera_is_told_with_those_there_are() -> None:
    with pytest.raises(CameraError, match="no such camera: stars; there are meltpool, stem images, stem diffraction"):
        camera_of("stars")
