"""A simulated camera on a socket, with a file of what it did on purpose."""

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.publisher import Publisher, Sent, Shot, SocketKind
from monitor.camera.schedule import Truth


class TruthFile:
    """Truths as JSON lines, each on disk as soon as its frames have been sent. Raises OSError."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._waiting: list[Truth] = []

    def add(self, truths: tuple[Truth, ...]) -> None:
        """Takes *truths* about frames that are about to be sent."""
        self._waiting.extend(truths)

    def sent(self, next_seq: int) -> None:
        """Writes what is true of frames before *next_seq*; an anomaly that is half sent waits."""
        done = [truth for truth in self._waiting if truth.last_seq < next_seq]
        self._waiting = [truth for truth in self._waiting if truth.last_seq >= next_seq]
        self._write(done)

    def finish(self, next_seq: int) -> None:
        """Writes the rest, cut at *next_seq*: what comes later was never sent."""
        begun = [truth for truth in self._waiting if truth.first_seq < next_seq]
        self._waiting = []
        self._write([msgspec.structs.replace(truth, last_seq=min(truth.last_seq, next_seq - 1)) for truth in begun])

    def _write(self, truths: list[Truth]) -> None:
        for truth in truths:
            self._file.write(msgspec.json.encode(truth) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read_truth(path: Path) -> list[Truth]:
    """The truths in a file that `simulate` wrote, in order. Raises OSError, and msgspec.DecodeError on other files."""
    decoder = msgspec.json.Decoder(Truth)
    return [decoder.decode(line) for line in path.read_bytes().splitlines()]


def simulate(
    endpoint: str,
    rate_hz: float,
    *,
    frames: int | None = None,
    seed: int = 0,
    anomaly_rate: float = 0.0,
    truth: Path | None = None,
    size: tuple[int, int] = (64, 64),
    camera: str = "meltpool",
    socket: SocketKind = "pub",
    connect: bool = False,
    frames_per_message: int | None = None,
    wait_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
) -> Sent:
    """Publishes a simulated melt pool of *size* (height, width): *frames* frames, or until *stop*.

    Raises as Publisher, MeltPool and open do.
    """
    pool = MeltPool(*size, seed=seed, anomaly_rate=anomaly_rate)
    publisher = Publisher(
        endpoint, rate_hz, camera=camera, socket=socket, connect=connect, frames_per_message=frames_per_message
    )
    with publisher:
        return publish_pool(publisher, pool, frames, truth, wait_s=wait_s, stop=stop)


def publish_pool(
    publisher: Publisher,
    pool: MeltPool,
    frames: int | None,
    truth: Path | None,
    *,
    wait_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
) -> Sent:
    """*frames* frames of *pool* through *publisher*, from a fresh start of both; the truth goes to a file."""
    if truth is None:
        return publisher.publish((shot for shot, _ in pool.shots(frames)), wait_s=wait_s, stop=stop)
    with TruthFile(truth) as file:
        try:
            return publisher.publish(_noting(pool, frames, publisher, file), wait_s=wait_s, stop=stop)
        finally:
            file.add((pool.unfinished,) if pool.unfinished else ())
            file.finish(publisher.seq)


def _noting(pool: MeltPool, frames: int | None, publisher: Publisher, file: TruthFile) -> Iterator[Shot]:
    """The shots of *pool*, with what is true of them on its way to *file*."""
    for shot, truths in pool.shots(frames):
        file.add(truths)
        file.sent(publisher.seq)
        yield shot
