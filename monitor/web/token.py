"""The token without which HTTP changes nothing."""

import hmac
import secrets
from pathlib import Path

from monitor.keys import KeyFileError, read_private, write_private

TOKEN_BYTES = 32
SHORTEST = 16  # letters: who makes up a token by hand makes up a short one
SCHEME = "bearer"


class Token:
    """What a request must carry as `Authorization: Bearer <token>`. It shows itself nowhere."""

    __slots__ = ("_expected",)

    def __init__(self, text: str) -> None:
        self._expected = text.encode()

    def admits(self, authorization: str | None) -> bool:
        """Whether that header (None: there is none) carries the token. Takes as long whatever letter is wrong."""
        scheme, _, given = (authorization or "").partition(" ")
        matches = hmac.compare_digest(given.strip().encode("utf-8", "replace"), self._expected)
        return matches and scheme.lower() == SCHEME


def make() -> str:
    """A new token: 43 letters that are safe in headers and shells."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def write(path: Path) -> None:
    """Put a new token into a file that only its owner may read. Raises KeyFileError where there is one already."""
    write_private(path, "# Token for changes over HTTP: Authorization: Bearer <the line below>.\n", make().encode())


def read(path: Path) -> Token:
    """The token in the file *path*. Raises KeyFileError."""
    return Token(text_of(path))


def text_of(path: Path) -> str:
    """The same as it stands there, for who is to send it."""
    text = read_private(path)
    if len(text) < SHORTEST or not text.isascii() or not text.isprintable() or " " in text:
        raise KeyFileError(f"{path}: holds no token of {SHORTEST} letters or more; 'framewatch keys token --out FILE'")
    return text
