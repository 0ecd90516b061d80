"""Alarm changes by HTTP POST, signed."""

import asyncio
import email.utils
import hashlib
import hmac
import logging
import math
import ssl
from collections.abc import Callable
from typing import Final

import httpx

from monitor import __version__
from monitor.sinks.feed import Entry
from monitor.sinks.secret import read_secret
from monitor.sinks.sink import DeliveryError, RefusedError, Sink, SinkError, body_of

RETRIED: Final = frozenset({408, 425, 429})
"""The answers from 400 to 499 that speak of this moment; all others of them speak of what was sent."""

ANSWER_BYTES: Final = 4096
"""So much of an answer is read; a longer one costs its connection."""

SHOWN_LETTERS: Final = 200

# At its usual level it would write every address into our log, and some addresses are secrets.
logging.getLogger("httpx").setLevel(logging.WARNING)


class WebhookSink(Sink):
    """POST to one address, one change at a time. 2xx is delivered; 4xx but for RETRIED is refused; the rest failed."""

    def __init__(
        self,
        name: str,
        url: str,
        timeout_s: float,
        secret: bytes | None,
        tls: ssl.SSLContext,
        unix_s: Callable[[], float],
    ) -> None:
        """Raises SinkError where *url* is no address."""
        super().__init__(name)
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise SinkError(f"sinks.webhooks '{name}': url: {error}") from None
        self._timeout_s = timeout_s
        self._secret = secret
        self._unix_s = unix_s
        # Proxies and certificates from the environment would decide in silence where alarms go.
        self._client = httpx.AsyncClient(verify=tls, trust_env=False, follow_redirects=False, timeout=timeout_s)

    async def deliver(self, entry: Entry) -> None:
        """The time limit holds for all of it: httpx alone would wait as often as a byte drips in."""
        body = body_of(entry.alarm)
        answer: httpx.Response | None = None
        beginning = b""
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._client.stream("POST", self._url, content=body, headers=self._headers(entry, body)) as answer,
            ):
                beginning = await _beginning(answer)
        except (TimeoutError, httpx.HTTPError, OSError) as error:
            if answer is None:  # else its status is known, and decides
                raise DeliveryError(_told(error, self._timeout_s)) from None
        self._judge(answer, beginning)

    async def close(self) -> None:
        await self._client.aclose()

    def _headers(self, entry: Entry, body: bytes) -> dict[str, str]:
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"framewatch/{__version__}",
            "Accept-Encoding": "identity",
            "Idempotency-Key": f"{entry.alarm.id}.{entry.alarm.rev}",
        }
        if self._secret is not None:
            headers["Framewatch-Signature"] = signature(self._secret, int(self._unix_s()), body)
        return headers

    def _judge(self, answer: httpx.Response | None, beginning: bytes) -> None:
        assert answer is not None
        status = answer.status_code
        if 200 <= status < 300:
            return
        said = " ".join(beginning.decode(errors="replace").split())[:SHOWN_LETTERS]
        why = f"the answer is {status}" + (f": {said}" if said else "")
        if 300 <= status < 400:
            raise DeliveryError(f"{why}; redirects are not followed, configure where they lead")
        if 400 <= status < 500 and status not in RETRIED:
            raise RefusedError(why)
        raise DeliveryError(why, retry_after_s(answer.headers.get("retry-after"), self._unix_s()))


def signature(secret: bytes, unix_s: int, body: bytes) -> str:
    """The value of `Framewatch-Signature`: the moment, and the HMAC-SHA256 of moment and *body* under *secret*."""
    code = hmac.new(secret, f"{unix_s}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={unix_s},v1={code}"


def retry_after_s(header: str | None, unix_s: float) -> float | None:
    """Seconds that the header `Retry-After` asks for at *unix_s*; None where it says nothing that can be understood."""
    if header is None:
        return None
    text = header.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])  # a longer number is as far away
    try:
        moment = email.utils.parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return None
    return max(0.0, moment - unix_s) if math.isfinite(moment) else None


def trust(name: str, ca_file: str | None) -> ssl.SSLContext:
    """What may speak for a receiver. Raises SinkError."""
    if ca_file is None:
        return httpx.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"sinks.webhooks '{name}': ca_file: {ca_file} cannot be used: {error}") from None


def secret_of(name: str, secret_file: str | None) -> bytes | None:
    """The secret in the file. Raises SinkError."""
    return None if secret_file is None else read_secret(secret_file, f"sinks.webhooks '{name}': secret_file")


async def _beginning(answer: httpx.Response) -> bytes:
    """The first bytes of the body as they came: what would unpack to gigabytes stays packed."""
    found = b""
    async for piece in answer.aiter_raw(ANSWER_BYTES):
        found += piece
        if len(found) >= ANSWER_BYTES:
            break
    return found


def _told(error: Exception, timeout_s: float) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return f"no answer within {timeout_s:g} s"
    return str(error) or type(error).__name__
