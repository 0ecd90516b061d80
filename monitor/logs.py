"""The daemon's log: readable lines, or one JSON object a line, on standard error. Logging never raises."""

import json
import logging
import os
import sys
import time
from collections.abc import Mapping
from typing import Final, TextIO

from monitor.config import Log

SYSLOG: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
"""The priority of each level, as the journal of systemd has it."""


def set_up(log: Log, process: str, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process, named *process*, to *stream* (standard error) as *log* says."""
    logging.raiseExceptions = False  # a full disk or a closed terminal must not stop a monitor
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    form = form_of(log, process)
    handler.setFormatter(_Ranked(form) if is_journal(handler.stream, os.environ) else form)
    logging.basicConfig(level=log.level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def form_of(log: Log, process: str) -> logging.Formatter:
    """What makes a line of a record."""
    return _Json(process) if log.format == "json" else _Text(process)


def is_journal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Whether systemd's journal reads *stream*: its device and inode are named; a child's may be another file."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):  # no file, or a closed one
        return False
    return environment.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class _Formatter(logging.Formatter):
    """What both formats share."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    @staticmethod
    def _time(record: logging.LogRecord) -> str:
        """UTC to the millisecond."""
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"

    @staticmethod
    def _message(record: logging.LogRecord) -> str:
        try:
            return record.getMessage()
        except Exception:  # arguments that do not fit the text, or that cannot be shown: any error is possible
            return f"{record.msg} (its {len(record.args or ())} arguments do not fit)"

    def _trace(self, record: logging.LogRecord) -> str:
        return self.formatException(record.exc_info) if record.exc_info else ""


class _Text(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = f"{self._time(record)} {record.levelname:<7} {self._process}: {visible(self._message(record))}"
        trace = self._trace(record)
        return f"{line}\n{trace}" if trace else line


class _Json(_Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = {
            "time": self._time(record),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": self._message(record),
        }
        trace = self._trace(record)
        return json.dumps({**fields, "trace": trace} if trace else fields)


class _Ranked(logging.Formatter):
    """Puts the priority before each line: the journal takes it off, and `journalctl -p warning` goes by it."""

    def __init__(self, form: logging.Formatter) -> None:
        super().__init__()
        self._form = form

    def format(self, record: logging.LogRecord) -> str:
        priority = SYSLOG.get(record.levelno, SYSLOG[logging.INFO])
        return "\n".join(f"<{priority}>{line}" for line in self._form.format(record).split("\n"))


def visible(text: str) -> str:
    """*text* in one line that does nothing to a terminal, whatever a peer has put into it."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape", "surrogatepass").decode() for one in text)
