"""How a command reaches the alarms: the running daemon over HTTP, or the journal where none runs."""

import json
import sqlite3
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from monitor.alarms import acts, life, modes
from monitor.alarms.acts import AcknowledgeAll, Asked, Refused
from monitor.alarms.life import Life, Rules
from monitor.config import Config
from monitor.desk import rules_of
from monitor.journal.store import Act, Change, Journal, JournalError, Written
from monitor.sweep import Sweep
from monitor.types import State
from monitor.web.alarms import ACTS

TIMEOUT_S: Final = 15.0
SWEEP_TIMEOUT_S: Final = 75.0

Kind = TypeVar("Kind")


class AlarmError(ValueError):
    """What was asked for was not done: one line."""


def do(config: Config, token: str | None, target: str, asked: Asked) -> dict[str, Any]:
    """Have the daemon of *config* do what is *asked* of *target*, or do it in its journal where none runs.

    Returns the answer of the API. Raises AlarmError and JournalError in one line.
    """
    name = next(name for name, kind in ACTS.items() if kind is type(asked))
    try:
        return by_daemon(config, token, f"alarms/{urllib.parse.quote(target, safe='')}/{name}", asked, TIMEOUT_S)
    except ConnectionRefusedError:
        with _held(config) as journal:
            return _in_journal(journal, config, target, bounded(asked), time.monotonic_ns(), time.time_ns())


def do_all(config: Config, token: str | None, asked: AcknowledgeAll) -> dict[str, Any]:
    """Have many alarms acknowledged, likewise."""
    try:
        return by_daemon(config, token, "alarms/acknowledge", asked, SWEEP_TIMEOUT_S)
    except ConnectionRefusedError:
        with _held(config) as journal:
            return _all_in_journal(journal, config, bounded(asked), time.monotonic_ns(), time.time_ns())


@contextmanager
def _held(config: Config) -> Iterator[Journal]:
    """The journal of a daemon that does not run, so that none can be started meanwhile."""
    try:
        journal = Journal(Path(config.journal), config.camera, hold=True)
    except JournalError as error:
        raise AlarmError(f"no daemon answers at {_address(config)}, and {error}") from None
    try:
        yield journal
    except sqlite3.Error as error:
        raise AlarmError(f"{config.journal} cannot be written: {error}") from None
    finally:
        journal.close()


def bounded(asked: Kind) -> Kind:
    """What is *asked*, within the bounds that hold for everybody."""
    try:
        return msgspec.convert(msgspec.to_builtins(asked), type(asked))
    except msgspec.ValidationError as error:
        raise AlarmError(str(error)) from None


def _encoded(asked: object) -> bytes:
    try:
        return msgspec.json.encode(asked)
    except UnicodeEncodeError:  # the shell hands on any bytes
        raise AlarmError("what is said is no text in UTF-8") from None


def _address(config: Config) -> str:
    host = config.http.host
    return f"http://{f'[{host}]' if ':' in host else host}:{config.http.port}"


def by_daemon(config: Config, token: str | None, path: str, asked: object | None, timeout_s: float) -> dict[str, Any]:
    """What the daemon of *config* answers at /api/v1/*path*, where something may be *asked* of it.

    Raises AlarmError in one line where it refuses, and ConnectionRefusedError where none runs.
    """
    request = urllib.request.Request(
        f"{_address(config)}/api/v1/{path}",
        data=None if asked is None else _encoded(asked),
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        method="GET" if asked is None else "POST",
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the daemon is near: no proxy's business
    try:
        with direct.open(request, timeout=timeout_s) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except urllib.error.HTTPError as error:
        raise AlarmError(_why(error)) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ConnectionRefusedError):
            raise error.reason from None
        raise AlarmError(f"the daemon at {_address(config)} does not answer: {error.reason}") from None
    except TimeoutError:
        raise AlarmError(f"the daemon at {_address(config)} does not answer") from None


def _why(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered {error.code} {error.reason}"


def _in_journal(journal: Journal, config: Config, target: str, asked: Asked, now_ns: int, t_ns: int) -> dict[str, Any]:
    """As the daemon would have done it; what follows leaves when it is started again."""
    rules, alive = _life(journal, config, now_ns, t_ns)
    outcome = acts.do(rules, alive, target, asked, journal.entry, life.Moment(State.STOPPING, now_ns, t_ns))
    if isinstance(outcome, Refused):
        raise AlarmError(outcome.why)
    done = []
    if outcome.source is not None:
        what = acts.what_of(asked)
        done = [Act(t_ns, what, outcome.source, asked.by, asked.reason, outcome.until_t_ns)]
    changes = [Change(one, t_ns) for one in outcome.revisions]
    journal.commit(Written(changes, *journal.read(), done, outcome.life.modes))
    latest = outcome.revisions[-1].alarm if outcome.revisions else None
    return {"alarm": msgspec.to_builtins(latest), "source": outcome.source, "journaled": True}


def _all_in_journal(journal: Journal, config: Config, asked: AcknowledgeAll, now_ns: int, t_ns: int) -> dict[str, Any]:
    rules, alive = _life(journal, config, now_ns, t_ns)
    sweep = Sweep(asked)
    while not sweep.over:
        alive, revisions = sweep.step(journal, rules, alive, {}, life.Moment(State.STOPPING, now_ns, t_ns))
        journal.commit(Written([Change(one, t_ns) for one in revisions], *journal.read()))
    if sweep.swept.refused is not None:
        raise AlarmError(sweep.swept.refused.why)
    return {"acknowledged": sweep.swept.acknowledged, "ids": sweep.swept.ids, "journaled": True}


def _life(journal: Journal, config: Config, now_ns: int, t_ns: int) -> tuple[Rules, Life]:
    """How alarms live, and those that are not over."""
    rules, _ = rules_of(config)
    held = modes.reopened(*journal.modes(), now_ns, t_ns)
    return rules, life.open_life(journal.open_entries(), held, rules, now_ns)
