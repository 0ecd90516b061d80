"""How a command reaches the alarms: the running daemon over HTTP, or the journal where none runs."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, Final

import msgspec

from monitor.alarms import acts, life, modes
from monitor.alarms.acts import Asked, Refused
from monitor.config import Config
from monitor.desk import rules_of
from monitor.journal.store import Act, Change, Journal, JournalError, Written
from monitor.types import State
from monitor.web.alarms import ACTS

TIMEOUT_S: Final = 15.0


class AlarmError(ValueError):
    """What was asked for was not done: one line."""


def do(config: Config, token: str | None, target: str, asked: Asked) -> dict[str, Any]:
    """Have the daemon of *config* do what is *asked* of *target*, or do it in its journal where none runs.

    Returns the answer of the API. Raises AlarmError and JournalError in one line.
    """
    try:
        return _by_daemon(config, token, target, asked)
    except ConnectionRefusedError:
        pass
    try:
        journal = Journal(Path(config.journal), config.camera, hold=True)
    except JournalError as error:
        raise AlarmError(f"no daemon answers at {_address(config)}, and {error}") from None
    try:
        return _in_journal(journal, config, target, asked, time.monotonic_ns(), time.time_ns())
    finally:
        journal.close()


def _address(config: Config) -> str:
    host = config.http.host
    return f"http://{f'[{host}]' if ':' in host else host}:{config.http.port}"


def _by_daemon(config: Config, token: str | None, target: str, asked: Asked) -> dict[str, Any]:
    name = next(name for name, kind in ACTS.items() if kind is type(asked))
    request = urllib.request.Request(
        f"{_address(config)}/api/v1/alarms/{urllib.parse.quote(target, safe='')}/{name}",
        data=msgspec.json.encode(asked),
        headers={"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
        method="POST",
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the daemon is near: no proxy's business
    try:
        with direct.open(request, timeout=TIMEOUT_S) as answer:
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
    try:
        asked = msgspec.convert(msgspec.to_builtins(asked), type(asked))
    except msgspec.ValidationError as error:
        raise AlarmError(str(error)) from None
    rules, _ = rules_of(config)
    held = modes.reopened(*journal.modes(), now_ns, t_ns)
    alive = life.open_life(journal.open_entries(), held, rules, now_ns)
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
