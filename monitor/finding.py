"""What the doctor says of one thing that it looked at."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from monitor.keys import forbidden_to_others

Grade = Literal["ok", "warning", "fault"]
"""fault: the daemon, or this part of it, does not start; warning: it starts, and something is amiss."""


class Finding(NamedTuple):
    """What one check found; *remedy* says what to do where it is not ok."""

    check: str
    grade: Grade
    found: str
    remedy: str = ""


def open_to_others(check: str, *files: str | None) -> Iterator[Finding]:
    """A warning for each of those secret *files* that others than its owner may open."""
    for file in filter(None, files):
        if os.access(file, os.R_OK) and stat.S_IMODE(Path(file).stat().st_mode) & forbidden_to_others(Path(file)):
            yield Finding(check, "warning", f"{file}: others than its owner may open it", f"chmod 600 {file}")
