"""The native frame protocol, version 1: bytes of one multipart message to frames, and back. No sockets, no clock.

Part 1 is the camera's name, part 2 a JSON object, part 3 the pixels in C order, and an optional part 4 holds one
record a frame. A key that is not known is ignored, and an optional key that is null counts as absent.
"""

import contextlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from monitor.types import TEXT_BYTES, Header, Message, PixelType

Part = bytes | bytearray | memoryview

REASONS = (
    "parts",
    "camera",
    "header",
    "version",
    "stream",
    "seq",
    "time",
    "shape",
    "dtype",
    "codec",
    "size",
    "length",
    "text",
    "layer",
    "xy",
    "meta",
    "other_camera",
    "second_stream",
)
"""Every reason for which a message is refused, the last two by the ingest: a closed set, so it may label metrics."""

VERSION = 1
XY_ACTIVE = "xy-active-v1"
PLACE = np.dtype({"names": ["x", "y", "active"], "formats": ["<f4", "<f4", "u1"], "itemsize": 12})
"""One record of part 4: 9 bytes that mean something and 3 that are zero."""

HEADER_BYTES = 16_384  # the longest lawful header takes under 4 KiB, even with every letter escaped
INT64_MAX = 2**63 - 1
FLOAT32_MAX = float(np.finfo(np.float32).max)
ITEM_BYTES: dict[PixelType, int] = {"uint8": 1, "uint16": 2, "float32": 4}


class WireError(ValueError):
    """A message that breaks the protocol. *reason* is one of REASONS; *detail* never quotes the peer."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class WireLimits:
    """What one message may hold at most."""

    max_frames: int = 4096
    max_side_px: int = 16_384
    max_frame_bytes: int = 64 * 2**20
    max_message_bytes: int = 256 * 2**20  # of pixels


_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=INT64_MAX)]
_Natural = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]


class _Header(msgspec.Struct, gc=False):
    """Part 2 as it travels; msgspec holds each key to its type and range."""

    v: int
    stream: str
    seq: _Natural
    t_ns: _Int64
    shape: Annotated[list[_Natural], msgspec.Meta(min_length=2, max_length=3)]
    dtype: PixelType
    dt_ns: _Natural | None = None
    codec: str | None = None
    active: bool | None = None
    context: str | None = None
    settings: str | None = None
    job: str | None = None
    layer: _Int64 | None = None
    xy: tuple[float, float] | None = None
    end: bool | None = None
    meta: str | None = None


_Repeated = tuple[str, str, int, int, int, PixelType, int, bool, str, str, str, int | None, bool]
"""A Header's values from `camera` on, in its order."""


class _Version(msgspec.Struct, gc=False):
    v: int


_REASON_OF_KEY = {"v": "version", "t_ns": "time", "dt_ns": "time"} | {
    key: key for key in _Header.__struct_fields__ if key in REASONS
}
_REASON_OF_KEY |= dict.fromkeys(("context", "settings", "job"), "text")

_decode_header = msgspec.json.Decoder(_Header).decode
_decode_version = msgspec.json.Decoder(_Version).decode
_is_camera = re.compile(rb"[A-Za-z0-9._-]{1,64}").fullmatch
_control_character = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]").search
_key_in_error = re.compile(r"(?:\$\.|field `)(\w+)").search


class _Known(NamedTuple):
    """What a camera repeats from message to message, checked: all but the first frame's number, time and place."""

    camera: bytes
    wire: _Header  # with those three at nothing
    frames: int
    pixel_bytes: int
    header: _Repeated


class Decoder:
    """Decodes messages that keep *limits*, quickest where they are like the one before.

    A message that breaks the protocol raises WireError and leaves the decoder as it was.
    """

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._known: _Known | None = None

    def __call__(self, parts: Sequence[Part]) -> Message:
        """The message in *parts*; its pixels are a view into part 3, which is not copied.

        A keep-alive has no pixels, and its height and width mean nothing. Raises WireError on any other bytes.
        """
        if not 3 <= len(parts) <= 4:
            raise WireError("parts", f"3 or 4 parts make a message, not {len(parts)}")
        known = self._known
        same_camera = known is not None and parts[0] == known.camera
        if not same_camera and _is_camera(parts[0]) is None:
            raise WireError("camera", "a camera's name is 1 to 64 of A-Z a-z 0-9 . _ -")
        wire = _read_header(parts[1])
        seq, t_ns, xy = wire.seq, wire.t_ns, wire.xy
        wire.seq, wire.t_ns, wire.xy = 0, 0, None
        if known is None or not same_camera or wire != known.wire:
            known = self._known = _learn(bytes(parts[0]), wire, self._limits)
        count = known.frames
        if seq + count > INT64_MAX:
            raise WireError("seq", "the last sequence number exceeds 64 bits")
        if wire.dt_ns and t_ns + count * wire.dt_ns > INT64_MAX:
            raise WireError("time", "the last exposure exceeds 64 bits")
        # Places live in the ring as float32; the comparison also refuses infinity and NaN.
        if xy and not (abs(xy[0]) <= FLOAT32_MAX and abs(xy[1]) <= FLOAT32_MAX):
            raise WireError("xy", "a place must be finite in single precision")
        pixels = _bytes_view(parts[2])
        if len(pixels) != known.pixel_bytes:
            raise WireError("length", f"{len(pixels)} bytes of pixels do not match the shape")
        places = None if wire.meta is None and len(parts) == 3 else _places(parts, wire.meta, count)
        return Message(Header(seq, t_ns, xy, *known.header), pixels, places)


def decode(parts: Sequence[Part], limits: WireLimits) -> Message:
    """The message in *parts*, by a decoder that knows nothing of others."""
    return Decoder(limits)(parts)


def _learn(camera: bytes, wire: _Header, limits: WireLimits) -> _Known:
    """What *wire* says of messages like its own. Raises WireError."""
    count, height, width = _sizes(wire, limits)
    if wire.codec is not None and wire.codec != "raw":
        raise WireError("codec", "only raw pixels are understood")
    layer = wire.layer
    header = (
        camera.decode("ascii"),
        _text(wire.stream),
        count,
        height,
        width,
        wire.dtype,
        wire.dt_ns or 0,
        wire.active is not False,
        _text(wire.context) if wire.context else "",
        _text(wire.settings) if wire.settings else "",
        _text(wire.job) if wire.job else "",
        # Senders say -1 for "no layer yet"; no layer lies below the plate.
        None if layer is None or layer < 0 else layer,
        wire.end is True,
    )
    return _Known(camera, wire, count, count * height * width * ITEM_BYTES[wire.dtype], header)


def encode(
    camera: str,
    stream: str,
    seq: int,
    t_ns: int,
    pixels: npt.NDArray[Any] | None,
    *,
    dt_ns: int = 0,
    active: bool = True,
    context: str = "",
    settings: str = "",
    job: str = "",
    layer: int | None = None,
    xy: tuple[float, float] | None = None,
    end: bool = False,
    places: npt.NDArray[np.void] | None = None,
) -> list[Part]:
    """The parts of one message: *pixels* (h, w) or (n, h, w), with *places* (n,) of PLACE; None is a keep-alive.

    Contiguous little-endian pixels are not copied: leave them alone until the message is sent.
    Raises WireError where a reader would: a publisher learns of its mistake before its readers do.
    """
    frames = np.empty((0, 0, 0), np.uint8) if pixels is None else pixels
    frames = np.ascontiguousarray(frames, frames.dtype.newbyteorder("<"))
    header: dict[str, object] = {
        "v": VERSION,
        "stream": stream,
        "seq": seq,
        "t_ns": t_ns,
        "shape": frames.shape,
        "dtype": frames.dtype.name,
    }
    optional = {"context": context, "settings": settings, "job": job, "layer": layer, "xy": xy, "dt_ns": dt_ns}
    header |= {key: value for key, value in optional.items() if value not in ("", None, 0) or key == "layer"}
    if not active:
        header["active"] = False
    if end:
        header["end"] = True
    if places is not None:
        header["meta"] = XY_ACTIVE
    parts: list[Part] = [
        camera.encode("ascii", "replace"),
        msgspec.json.encode(header),
        frames.reshape(-1).view(np.uint8).data,
    ]
    if places is not None:
        parts.append(_packed(places))
    decode(parts, _NO_LIMITS)
    return parts


_NO_LIMITS = WireLimits(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX)


def _read_header(part: Part) -> _Header:
    if len(part) > HEADER_BYTES:
        raise WireError("header", f"{len(part)} bytes are more than a header takes")
    try:
        wire = _decode_header(part)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _header_error(part, error) from None
    if wire.v != VERSION:
        raise WireError("version", f"version {VERSION} is understood here")
    return wire


def _header_error(part: Part, error: Exception) -> WireError:
    """Which key is at fault; a version that is not ours comes first, since its other keys may mean other things."""
    # Where not even a version can be read, the first error says it best.
    with contextlib.suppress(msgspec.DecodeError, ValueError, RecursionError):
        if _decode_version(part).v != VERSION:
            return WireError("version", f"version {VERSION} is understood here")
    found = _key_in_error(str(error)) if isinstance(error, msgspec.ValidationError) else None
    if found is None:
        return WireError("header", "not a JSON object with the keys of the protocol")
    key = found[1]
    return WireError(_REASON_OF_KEY.get(key, "header"), f"`{key}` is missing or not what the protocol says")


def _sizes(wire: _Header, limits: WireLimits) -> tuple[int, int, int]:
    """Count, height and width."""
    *counts, height, width = wire.shape
    count = counts[0] if counts else 1
    if count and not (height and width):
        raise WireError("shape", "a frame has at least one row and one column")
    if count > limits.max_frames:
        raise WireError("size", f"{count} frames in one message, {limits.max_frames} are allowed")
    if height > limits.max_side_px or width > limits.max_side_px:
        raise WireError("size", f"frames of {height} x {width}, sides of {limits.max_side_px} are allowed")
    frame_bytes = height * width * ITEM_BYTES[wire.dtype]
    if frame_bytes > limits.max_frame_bytes:
        raise WireError("size", f"{frame_bytes} bytes a frame, {limits.max_frame_bytes} are allowed")
    if count * frame_bytes > limits.max_message_bytes:
        raise WireError("size", f"{count * frame_bytes} bytes a message, {limits.max_message_bytes} are allowed")
    return count, height, width


def _text(text: str) -> str:
    if text.isascii() and text.isprintable() and len(text) <= TEXT_BYTES:
        return text
    if _control_character(text):
        raise WireError("text", "control characters")
    if len(text) > TEXT_BYTES or len(text.encode()) > TEXT_BYTES:
        raise WireError("text", f"more than {TEXT_BYTES} bytes")
    return text


def _places(parts: Sequence[Part], meta: str | None, count: int) -> npt.NDArray[np.void] | None:
    if (meta is None) != (len(parts) == 3):
        raise WireError("meta", "`meta` and part 4 come together or not at all")
    if meta is None:
        return None
    if meta != XY_ACTIVE:
        raise WireError("meta", f"`meta` is {XY_ACTIVE} or absent")
    records = _bytes_view(parts[3])
    if len(records) != count * PLACE.itemsize:
        raise WireError("meta", f"{len(records)} bytes of records for {count} frames")
    if np.frombuffer(records, "<u4")[2::3].max(initial=0) > 255:
        raise WireError("meta", "the last three bytes of a record are zero")
    return np.frombuffer(records, PLACE)


def _packed(places: npt.NDArray[np.void]) -> bytes:
    """Records with their padding zeroed, whatever the memory between the fields held."""
    packed = np.zeros(places.shape, PLACE)
    for name in ("x", "y", "active"):
        packed[name] = places[name]
    return packed.tobytes()


def _bytes_view(part: Part) -> memoryview:
    view = memoryview(part)
    if view.format == "B" and view.ndim == 1:
        return view
    return view.cast("B") if view.nbytes else memoryview(b"")
