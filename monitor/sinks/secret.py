"""Secrets stand in files of their own: a configuration is shown, copied and kept where they must not be."""

from pathlib import Path

from monitor.sinks.sink import SinkError


def read_secret(path: str, key: str) -> bytes:
    """The file's bytes without blanks at either end. Raises SinkError, in one line that begins with *key*."""
    try:
        found = Path(path).read_bytes().strip()
    except OSError as error:
        raise SinkError(f"{key}: {path} cannot be read: {error.strerror or error}") from None
    if not found:
        raise SinkError(f"{key}: {path} is empty")
    return found


def read_password(path: str, key: str) -> str:
    """The same as text. Raises SinkError likewise."""
    try:
        return read_secret(path, key).decode()
    except UnicodeDecodeError:
        raise SinkError(f"{key}: {path} is not UTF-8 text") from None
