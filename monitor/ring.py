"""The shared-memory ring: the only copy of each frame on the host. A slot stays readable until it is overwritten.

Positions count up for ever; position p lies in slot p modulo the number of slots. One writer says which slots it is
about to touch (`reserved`), fills them, then says that they hold frames (`written`). A reader copies what it wants
and asks afterwards whether those slots were touched meanwhile; it never makes the writer wait.
"""

import struct
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from monitor.shared import Arrays, Fields
from monitor.types import TEXT_BYTES, Header, Message, Pixels

Codes = int | npt.NDArray[np.uint8]
"""Why frames are not to be judged, as `Unjudged` or 0: one code for all frames of a message, or (n,) of them."""

RECORD = np.dtype(
    [
        ("stream", f"S{TEXT_BYTES}"),
        ("job", f"S{TEXT_BYTES}"),
        ("context", f"S{TEXT_BYTES}"),
        ("seq", "<i8"),
        ("t_ns", "<i8"),
        ("received_ns", "<i8"),
        ("judged_ns", "<i8"),
        ("layer", "<i8"),
        ("xy", "<f4", (2,)),
        ("t2", "<f4"),
        ("s2", "<f4"),
        ("offset", "<f4"),
        ("local", "<f4"),
        ("mewma", "<f4"),
        ("joint", "<f4"),
        ("where", "<i2", (2,)),
        ("active", "u1"),
        ("unjudged", "u1"),
        ("fault", "u1"),
        ("padding", "u1"),
    ]
)
"""What lies beside the pixels of a slot. Kept as one record, since it is then written in one call a message."""

_PACK = struct.Struct(f"<{TEXT_BYTES}s{TEXT_BYTES}s{TEXT_BYTES}sqqqqq2f6f2hBBBx")
_NAN = float("nan")
_NOT_YET_NS = 0
_UNSCORED = (_NAN,) * 6 + (-1, -1)  # t2, s2, offset, local, mewma, joint, and where

GIL_FREE_COPY_BYTES = 2**20
"""Above this (about 0.1 ms) numpy copies, which lets other threads run; below it, handing over costs more."""


class FrameBatch(NamedTuple):
    """Consecutive slots as views into the ring, n frames; the judge writes the scores through them."""

    pixels: Pixels  # (n, h, w)
    stream: npt.NDArray[np.bytes_]  # (n,) UTF-8, as are job and context
    job: npt.NDArray[np.bytes_]
    context: npt.NDArray[np.bytes_]
    seq: npt.NDArray[np.int64]
    t_ns: npt.NDArray[np.int64]  # exposure on the sender's clock: never compared with ours
    received_ns: npt.NDArray[np.int64]  # the machine's monotonic clock
    judged_ns: npt.NDArray[np.int64]  # the same clock, when the scores were written; 0 until then
    layer: npt.NDArray[np.int64]  # -1: none was given
    xy: npt.NDArray[np.float32]  # (n, 2), NaN: none was given
    active: npt.NDArray[np.uint8]
    unjudged: npt.NDArray[np.uint8]  # why not, as `Unjudged`; 0: to be judged
    fault: npt.NDArray[np.uint8]
    t2: npt.NDArray[np.float32]  # this and the next four: NaN until judged
    s2: npt.NDArray[np.float32]
    offset: npt.NDArray[np.float32]
    local: npt.NDArray[np.float32]
    mewma: npt.NDArray[np.float32]  # NaN where the bundle has no memory
    joint: npt.NDArray[np.float32]
    where: npt.NDArray[np.int16]  # (n, 2) row and column of the peak of `local`, -1 until judged


_COLUMNS = FrameBatch._fields[1:]

NUMBERS = ("seq", "t_ns", "received_ns", "judged_ns", "layer")
SCORES = ("t2", "s2", "offset", "local", "mewma", "joint")


class Followed(NamedTuple):
    """Of n frames, what is read of all of them together: rows of one piece of memory, views into the ring."""

    numbers: npt.NDArray[np.int64]  # (5, n) in the order of NUMBERS
    xy: npt.NDArray[np.float32]  # (2, n)
    scores: npt.NDArray[np.float32]  # (6, n) in the order of SCORES
    job: npt.NDArray[np.bytes_]  # (n,), and so are the next ones
    context: npt.NDArray[np.bytes_]
    unjudged: npt.NDArray[np.uint8]
    fault: npt.NDArray[np.uint8]


class Ring:
    """The ring behind *arrays*, for its one writer and for any number of readers in any process."""

    @staticmethod
    def fields(slots: int, height: int, width: int, dtype: npt.DTypeLike, latent: int = 0) -> Fields:
        """*latent*: size of the latents that are kept of each frame; 0: none are."""
        return {
            "pixels": (dtype, (slots, height, width)),
            "records": (RECORD, (slots,)),
            "latents": (np.float32, (slots, latent)),
            "reserved": (np.int64, (1,)),
            "written": (np.int64, (1,)),
        }

    def __init__(self, arrays: Arrays) -> None:
        self.pixels: Pixels = arrays["pixels"]
        self.slots: int
        self.height: int
        self.width: int
        self.slots, self.height, self.width = self.pixels.shape
        self.dtype = self.pixels.dtype.name
        records = arrays["records"]
        self._records, self._latents = records, arrays["latents"]
        self.keeps_latents = self._latents.shape[1] > 0
        self._columns = [records[name] for name in _COLUMNS]
        self._column = dict(zip(_COLUMNS, self._columns, strict=True))
        self._numbers, self._xy, self._scores = (_rows(records, *names) for names in (NUMBERS, ("xy",), SCORES))
        self._row_bytes = records.view(np.uint8).reshape(-1).data
        self._pixel_bytes = self.pixels.reshape(-1).view(np.uint8).data
        self._frame_bytes = self.pixels[0].nbytes
        self._reserved = arrays["reserved"].data
        self._written = arrays["written"].data
        self._steps = np.arange(self.slots, dtype=np.int64)

    @property
    def written(self) -> int:
        """The position after the newest frame that can be read."""
        return int(self._written[0])

    # The reader's side

    def oldest_intact(self) -> int:
        """The oldest position whose slot is not, and is not about to be, overwritten."""
        return max(0, int(self._reserved[0]) - self.slots)

    def intact(self, lo: int) -> bool:
        """Whether what was copied from *lo* on, before this call, was whole."""
        return lo >= self.oldest_intact()

    def until_wrap(self, lo: int, hi: int) -> int:
        """The end of the longest stretch from *lo* towards *hi* that lies in one piece."""
        return min(hi, (lo // self.slots + 1) * self.slots)

    def view(self, lo: int, hi: int) -> FrameBatch:
        """Positions *lo* to *hi* as views. Copy what you need, then ask `intact(lo)`.

        Raises ValueError where they wrap around the end of the ring or were not written yet.
        """
        if not 0 <= lo <= hi <= self.written or hi > self.until_wrap(lo, hi):
            raise ValueError(f"positions {lo} to {hi} do not lie in one piece of the ring")
        slot = lo % self.slots
        piece = slice(slot, slot + hi - lo)
        return FrameBatch(self.pixels[piece], *[column[piece] for column in self._columns])

    def follow(self, lo: int, hi: int) -> Followed:
        """What of `view` can be copied in three calls, by who reads every frame: memory is waited for once."""
        slot = lo % self.slots
        piece = slice(slot, slot + hi - lo)
        rest = (self._column[name][piece] for name in Followed._fields[3:])
        return Followed(self._numbers[:, piece], self._xy[:, piece], self._scores[:, piece], *rest)

    def records(self, lo: int, hi: int) -> npt.NDArray[np.void]:
        """What lies beside the pixels of frames in one piece, as `RECORD`, a view."""
        slot = lo % self.slots
        return self._records[slot : slot + hi - lo]

    def latents(self, lo: int, hi: int) -> npt.NDArray[np.float32]:
        """Whitened latents (n, p) of frames in one piece, a view. Of frames that were not judged they mean nothing."""
        slot = lo % self.slots
        return self._latents[slot : slot + hi - lo]

    def codes(self, lo: int, hi: int) -> npt.NDArray[np.uint8]:
        """Why frames that lie in one piece are not to be judged, a view."""
        slot = lo % self.slots
        codes: npt.NDArray[np.uint8] = self._column["unjudged"][slot : slot + hi - lo]
        return codes

    def received_ns(self, position: int) -> int:
        """When the frame at *position* came in."""
        return int(self._column["received_ns"][position % self.slots])

    # The writer's side

    def fits(self, header: Header) -> bool:
        """Whether frames like these have the size and type of the slots."""
        return header.height == self.height and header.width == self.width and header.dtype == self.dtype

    def write(self, message: Message, first: int, count: int, codes: Codes, received_ns: int) -> tuple[int, int]:
        """Copy *count* frames of *message* from its *first* on; of more than the ring holds, only the newest.

        Returns their positions; the caller accounts for frames left out.
        """
        kept = min(count, self.slots)
        lo, hi = self.reserve(kept)
        self.fill(lo, message, first + count - kept, kept, codes, received_ns)
        self.commit(hi)
        return lo, hi

    def reserve(self, count: int) -> tuple[int, int]:
        """Tell readers that the next *count* slots, at most all of them, are about to change."""
        lo = int(self._written[0])
        hi = lo + count
        # A writer that died between reserving and committing had touched slots up to there: never go back.
        self._reserved[0] = max(hi, self._reserved[0])
        return lo, hi

    def fill(self, lo: int, message: Message, first: int, count: int, codes: Codes, received_ns: int) -> None:
        """Copy frames into reserved positions from *lo* on; *codes* may hold one code a frame of the message."""
        while count:
            piece = min(count, self.slots - lo % self.slots)
            self._copy_pixels(lo % self.slots, message.pixels, first, piece)
            self._fill_records(lo % self.slots, message, first, piece, codes, received_ns)
            lo, first, count = lo + piece, first + piece, count - piece

    def commit(self, hi: int) -> None:
        """Let readers see every position below *hi*."""
        self._written[0] = hi

    def _copy_pixels(self, slot: int, pixels: memoryview, first: int, count: int) -> None:
        size = self._frame_bytes
        source = pixels[first * size : (first + count) * size]
        if len(source) < GIL_FREE_COPY_BYTES:
            self._pixel_bytes[slot * size : (slot + count) * size] = source
        else:
            frames = np.frombuffer(source, self.pixels.dtype)
            self.pixels[slot : slot + count] = frames.reshape(count, self.height, self.width)

    def _fill_records(
        self, slot: int, message: Message, first: int, count: int, codes: Codes, received_ns: int
    ) -> None:
        """Write the first record whole, repeat it, then set what differs from frame to frame."""
        header = message.header
        x, y = header.xy if header.xy is not None and first == 0 else (_NAN, _NAN)
        _PACK.pack_into(
            self._row_bytes,
            slot * RECORD.itemsize,
            header.stream.encode(),
            header.job.encode(),
            header.context.encode(),
            header.seq + first,
            header.t_ns + first * header.dt_ns,
            received_ns,
            _NOT_YET_NS,
            -1 if header.layer is None else header.layer,
            x,
            y,
            *_UNSCORED,
            header.active,
            codes if isinstance(codes, int) else codes[first],
            0,
        )
        if count > 1:
            # As bytes: numpy would hand the interpreter over to another thread, and wait for it afterwards.
            first_at, size = slot * RECORD.itemsize, RECORD.itemsize
            record = bytes(self._row_bytes[first_at : first_at + size])
            self._row_bytes[first_at + size : first_at + count * size] = record * (count - 1)
            self._fill_columns(slice(slot, slot + count), header, first, count, codes)
        if message.places is not None:
            places, piece = message.places[first : first + count], slice(slot, slot + count)
            self._column["xy"][piece, 0] = places["x"]
            self._column["xy"][piece, 1] = places["y"]
            self._column["active"][piece] = (places["active"] != 0) & header.active

    def _fill_columns(self, piece: slice, header: Header, first: int, count: int, codes: Codes) -> None:
        steps = self._steps[:count]
        self._column["seq"][piece] += steps
        if header.dt_ns:
            self._column["t_ns"][piece] += steps * header.dt_ns
        if header.xy is not None and first == 0:
            self._column["xy"][piece][1:] = _NAN  # a header places its first frame only
        if not isinstance(codes, int):
            self._column["unjudged"][piece] = codes[first : first + count]


def _rows(records: npt.NDArray[np.void], first: str, *more: str) -> npt.NDArray[Any]:
    """Fields of one type that lie one after the other, a row each: (fields, slots)."""
    assert records.dtype.fields is not None
    kind, offset = records.dtype.fields[first][:2]
    count = len(more) + 1 if kind.subdtype is None else kind.shape[0]
    size = kind.base.itemsize
    assert [records.dtype.fields[name][1] for name in more] == [offset + size * at for at in range(1, len(more) + 1)]
    return np.ndarray((count, len(records)), kind.base, records, offset, (size, records.itemsize))


def text(value: Any) -> str:
    """One `stream`, `job` or `context` of a batch as text; a slot that is being overwritten may hold half a letter."""
    return bytes(value).decode(errors="replace")
