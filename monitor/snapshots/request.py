"""What is asked of the snapshot socket: parts of a message to a request, or a RequestError from a closed set. Pure."""

from collections.abc import Sequence
from typing import Final, Literal, get_args

import msgspec

VERSION: Final = 1
BYTES_MAX: Final = 4096
"""A longer request is refused."""

ENVELOPE_MAX: Final = 4
"""Parts that may go before the request, the empty one that ends them included: a REQ socket sends one or two."""

PARTS_KEPT: Final = ENVELOPE_MAX + 2
"""Of a message with more parts, as many show already that it is one too many."""

Wanted = Literal["open", "active", "unacknowledged"]

Reason = Literal["malformed", "version", "size", "parts", "camera", "unavailable"]
"""Why a request is refused; `unavailable`: by no fault of its own, the journal does not answer."""

REASONS: Final[tuple[Reason, ...]] = get_args(Reason)


class RequestError(ValueError):
    """A request without an answer: a reason for the metric, and a line for who asked."""

    def __init__(self, reason: Reason, says: str) -> None:
        super().__init__(says)
        self.reason = reason


class Request(msgspec.Struct, frozen=True):
    """Which alarms are asked for; keys that are not known are passed over."""

    v: int = VERSION
    state: Wanted = "open"  # active or unacknowledged
    camera: str | None = None  # None: whichever is watched here
    before: str | None = None  # an alarm's id: the answer goes on behind it


class _Versioned(msgspec.Struct):
    v: int = VERSION


_versions = msgspec.json.Decoder(_Versioned)
_requests = msgspec.json.Decoder(Request)


def unwrap(parts: Sequence[bytes]) -> tuple[Sequence[bytes], Sequence[bytes]]:
    """The envelope that goes back with the answer, up to the empty part that a REQ socket sends; what is behind it.

    *parts* are a message's, without the routing id: all, or the first PARTS_KEPT. A lone empty part is a request.
    """
    before_last = parts[: min(ENVELOPE_MAX, len(parts) - 1)]
    cut = before_last.index(b"") + 1 if b"" in before_last else 0
    return parts[:cut], parts[cut:]


def decode(parts: Sequence[bytes], camera: str) -> Request:
    """The request in *parts*, to the daemon that watches *camera*; an empty part asks for what is open.

    Raises RequestError.
    """
    if len(parts) != 1:
        raise RequestError("parts", "a request is one part behind the envelope")
    [body] = parts
    if len(body) > BYTES_MAX:
        raise RequestError("size", f"a request has at most {BYTES_MAX} bytes, not {len(body)}")
    if not body:
        return Request()
    try:
        version = _versions.decode(body).v  # first: what another version means by a key is not known here
        if version != VERSION:
            raise RequestError("version", f"v: this daemon speaks version {VERSION}")
        request = _requests.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RequestError("malformed", f"a request is one JSON object or empty: {error}") from None
    if request.camera not in (None, camera):
        raise RequestError("camera", f"camera: this daemon watches {camera}")
    return request
