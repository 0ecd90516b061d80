"""A simulated camera on a socket, with a file of what it did on purpose.

Whatever gives shots with their truth can be sent; `camera_of` makes the cameras that have a name.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import msgspec

from monitor.camera.publisher import Publisher, Sent, Shot, SocketKind
from monitor.camera.schedule import Truth
from monitor.keys import Credentials


class CameraError(ValueError):
    """A camera that cannot be simulated: one line that says which value is wrong and what there is."""


class TruthError(ValueError):
    """A file that holds something else than truths: one line that names it and the line in it."""


class Simulated(Protocol):
    """A camera whose every anomaly is known. Frames count from 0 at the first shot."""

    def shots(self, frames: int | None = None) -> Iterator[tuple[Shot, tuple[Truth, ...]]]:
        """The next *frames* frames (None: without end), each shot with the anomalies that end in it."""

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""


class TruthFile:
    """Truths as JSON lines, each on disk as soon as its frames have been sent. Raises OSError.

    *exposed_ns* says when a frame that was sent was exposed.
    """

    def __init__(self, path: Path, exposed_ns: Callable[[int], int]) -> None:
        self._file = path.open("wb")
        self._exposed_ns = exposed_ns
        self._waiting: list[Truth] = []

    def add(self, truths: tuple[Truth, ...]) -> None:
        """Takes *truths* about frames that are about to be sent."""
        self._waiting.extend(truths)

    def sent(self, next_seq: int) -> None:
        """Writes what is true of frames before *next_seq*; an anomaly that is half sent waits."""
        if self._waiting:
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
            timed = msgspec.structs.replace(truth, first_t_ns=self._exposed_ns(truth.first_seq))
            self._file.write(msgspec.json.encode(timed) + b"\n")
        self._file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()


def read_truth(path: Path) -> list[Truth]:
    """The truths in a file that `simulate` wrote, in order. Raises OSError, and TruthError on other files."""
    decoder = msgspec.json.Decoder(Truth)
    truths = []
    for number, line in enumerate(path.read_bytes().split(b"\n"), 1):
        try:
            truths += [decoder.decode(line)] if line else []
        except ValueError as error:  # of msgspec, and of Python where the text is no UTF-8
            raise TruthError(f"{path}: line {number} is no truth ({error}); give a file of --truth") from None
    return truths


MELT_POOL: Final = "meltpool"


class Model(NamedTuple):
    """A camera that has a name."""

    side_px: int  # of its square frames, where nobody has said another size
    load: Callable[[], Callable[..., Simulated]]
    """Its class, imported only when asked for: no camera waits for what another one needs."""


def camera_of(
    name: str,
    *,
    size: tuple[int, int] | None = None,
    seed: int = 0,
    anomaly_rate: float = 0.0,
    kinds: tuple[str, ...] | None = None,
    bank: int | None = None,
    recoat_s: float | None = None,
) -> Simulated:
    """That one of CAMERAS, with frames of *size* (height, width) and anomalies of *kinds* (None: all it has).

    *anomaly_rate* is the chance of an anomaly to begin at a normal frame. With *bank*, whole layers of at least so many
    frames of the melt pool are computed at once, and shown again and again with fresh noise; *recoat_s* is its pause
    between two layers. Raises CameraError.
    """
    model = CAMERAS.get(name)
    if model is None:
        raise CameraError(f"no such camera: {name}; there are {', '.join(CAMERAS)}")
    height, width = size or (model.side_px, model.side_px)
    own = {} if recoat_s is None else {"recoat_s": recoat_s}
    if (own or bank is not None) and name != MELT_POOL:
        raise CameraError(f"{name}: only the {MELT_POOL} has a bank of frames and pauses for recoating")
    try:
        camera = model.load()(height=height, width=width, seed=seed, anomaly_rate=anomaly_rate, kinds=kinds, **own)
        return camera if bank is None else _banked(camera, bank)
    except ValueError as error:
        raise CameraError(f"{name}: {error}") from error


def _banked(camera: Any, frames: int) -> Simulated:
    from monitor.camera.meltpool.bank import Bank

    return Bank(camera, frames)


def _melt_pool() -> Callable[..., Simulated]:
    from monitor.camera.meltpool.camera import MeltPool

    return MeltPool


def _scan_images() -> Callable[..., Simulated]:
    from monitor.camera.stem.images import ScanImages

    return ScanImages


def _diffraction() -> Callable[..., Simulated]:
    from monitor.camera.stem.diffraction import Diffraction

    return Diffraction


CAMERAS: Final[Mapping[str, Model]] = {
    MELT_POOL: Model(120, _melt_pool),
    "stem images": Model(64, _scan_images),
    "stem diffraction": Model(128, _diffraction),
}
"""Every camera that `camera_of` can make, by its name."""


def simulate(
    simulated: Simulated,
    endpoint: str,
    rate_hz: float,
    *,
    frames: int | None = None,
    truth: Path | None = None,
    camera: str = "camera",
    socket: SocketKind = "pub",
    connect: bool = False,
    frames_per_message: int | None = None,
    credentials: Credentials | None = None,
    wait_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
) -> Sent:
    """Publishes *frames* frames of *simulated* (None: until *stop*); their truth goes to the file *truth*.

    Raises as Publisher and open do.
    """
    publisher = Publisher(
        endpoint,
        rate_hz,
        camera=camera,
        socket=socket,
        connect=connect,
        frames_per_message=frames_per_message,
        credentials=credentials,
    )
    with publisher:
        return publish_simulated(publisher, simulated, frames, truth, wait_s=wait_s, stop=stop)


def publish_simulated(
    publisher: Publisher,
    simulated: Simulated,
    frames: int | None,
    truth: Path | None,
    *,
    wait_s: float = 10.0,
    stop: Callable[[], bool] = lambda: False,
) -> Sent:
    """*frames* frames of *simulated* through *publisher*, from a fresh start of both; the truth goes to a file."""
    shots = simulated.shots(frames)
    if truth is None:
        return publisher.publish((shot for shot, _ in shots), wait_s=wait_s, stop=stop)
    with TruthFile(truth, publisher.exposed_ns) as file:
        try:
            return publisher.publish(_noting(shots, file), wait_s=wait_s, stop=stop, sent=file.sent)
        finally:
            file.add((simulated.unfinished,) if simulated.unfinished else ())
            file.finish(publisher.seq)


def _noting(shots: Iterator[tuple[Shot, tuple[Truth, ...]]], file: TruthFile) -> Iterator[Shot]:
    """The *shots*, with what is true of them on its way to *file*."""
    for shot, truths in shots:
        file.add(truths)
        yield shot
