"""Who may write to a journal: the daemon that holds the file beside it."""

import fcntl
import os
from pathlib import Path


class HeldError(ValueError):
    """The journal cannot be held: one line that names it."""


def hold(path: Path) -> int:
    """An open file beside the journal at *path* that is locked as long as it stays open. Raises HeldError."""
    lock = path.with_name(path.name + ".lock")
    try:
        held = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise HeldError(f"{path} cannot be opened: {error.strerror} ({lock})") from None
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(held)
        raise HeldError(f"{path} is held by a daemon that runs; choose another file") from None
    return held
