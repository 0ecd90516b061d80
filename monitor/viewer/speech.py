"""What the side process and the process that draws say to each other: a length, a head in JSON, and bytes.

One question, one answer, over a pair of sockets: two lengths, a Picture, and a line that says what is wrong. An answer
without bytes: there is nothing to draw.
"""

import struct
from typing import Final

import msgspec

LENGTHS: Final = struct.Struct("<II")
"""Of the head and of what follows it; of an answer, of the Picture and of the line."""


class UnreadableError(ValueError):
    """A file that a frame is in cannot be read: one line."""


class Wanted(msgspec.Struct, frozen=True):
    """Which frame an event is to be shown by; where there is none of it, another of its frames."""

    stream: str
    seq: int
    first_seq: int  # of the event
    last_seq: int
    fault: int = 0  # code of the camera's fault that the event is; 0: it is none


class Newest(msgspec.Struct, frozen=True, tag="newest"):
    """The frame with the worst score since the last one."""

    anew: bool = False  # nobody has looked for a while: of the latest frames alone


class Find(msgspec.Struct, frozen=True, tag="find"):
    """A frame that may still be in the ring."""

    stream: str
    seq: int
    fault: int = 0  # as of Wanted


class Among(msgspec.Struct, frozen=True, tag="among"):
    """Of the frames of an event that are still in the ring, the one that shows it best."""

    wanted: Wanted


class Recorded(msgspec.Struct, frozen=True, tag="recorded"):
    """A frame in a recording: the one that is wanted, or another of its event's."""

    path: str
    wanted: Wanted
    t_ns: int  # Unix, when its alarm was raised


class Kept(msgspec.Struct, frozen=True, tag="kept"):
    """A frame that was kept elsewhere; its pixels follow."""

    stream: str
    seq: int
    t_ns: int  # Unix, when it was judged
    layer: int | None
    job: str
    context: str
    xy: tuple[float, float] | None
    scores: dict[str, float] = {}  # chart -> score, of what cannot be worked out of the frame alone


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """What the process is told at first: `monitor.orders.Orders` follow."""


Question = Begin | Newest | Find | Among | Kept | Recorded

_decoder: "msgspec.json.Decoder[Question]" = msgspec.json.Decoder(Question)


def packed(question: Question, content: bytes = b"") -> bytes:
    """*question* as it is sent, with what follows it."""
    head = msgspec.json.encode(question)
    return LENGTHS.pack(len(head), len(content)) + head + content


def unpacked(head: bytes) -> Question:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(head)
