"""What is asked of a journal: queries over its file, whether that is open for writing or to be read only."""

import sqlite3
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import msgspec

from monitor.alarms import life
from monitor.alarms.alarm import Alarm, Verdict, id_of, suffix_of
from monitor.alarms.figures import Lived
from monitor.alarms.modes import Key, Mode, Modes
from monitor.journal.age import machine_boot

Which = Literal["active", "cleared", "unacknowledged"]

_ACTIVE, _CLEARED = "state = 'active' AND rev > 0", "state = 'cleared'"
_UNSEEN, _SEEN = "acked = 0", "acked = 1"
# An alarm whose on-delay runs lies there with revision 0, and is in no list.

_PARTS: Final[Mapping[Which | None, tuple[tuple[str, str], ...]]] = {
    None: ((_ACTIVE, _UNSEEN), (_ACTIVE, _SEEN), (_CLEARED, _UNSEEN), (_CLEARED, _SEEN)),
    "active": ((_ACTIVE, _UNSEEN), (_ACTIVE, _SEEN)),
    "cleared": ((_CLEARED, _UNSEEN), (_CLEARED, _SEEN)),
    "unacknowledged": ((_ACTIVE, _UNSEEN), (_CLEARED, _UNSEEN)),
}
# In each part the index has the alarms in their order, so that the latest are found without looking at all the others.

LATEST: Final = 1000
BUMPED_NS: Final = 1_000_000_000
"""Ids of alarms that came at one moment are as many nanoseconds apart as there are of them."""

_alarm_decoder = msgspec.json.Decoder(Alarm)
_entry_decoder = msgspec.json.Decoder(life.Entry)


class Wanted(NamedTuple):
    """Which alarms are meant: all, or those that meet each of these."""

    state: Which | None = None
    unseen: bool = False  # nobody has acknowledged them, whatever the state
    source: str | None = None
    group: str | None = None  # id of a flood alarm: those that stand behind it, and itself
    after: int = 0  # raised after the alarm in this place, see `Records.place`
    until: int | None = None  # raised up to and with the one in this place


class Told(NamedTuple):
    """One revision as it was written: when, what it is about, and who did it (empty: the program) for which reason."""

    row: int
    t_ns: int
    what: str
    by: str
    reason: str
    alarm: Alarm


class Records:
    """Queries over the journal that is open as *db*; may be used by several threads. Each raises sqlite3.Error.

    Alarms have places, which count up in the order in which they were raised, whatever a clock said then.
    """

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._lock = threading.RLock()

    def alarms(self, limit: int, which: Which | None = None) -> list[Alarm]:
        """The latest *limit* alarms in their last revision, the one raised last first."""
        return self.listed(limit, Wanted(which))

    def listed(self, limit: int, wanted: Wanted) -> list[Alarm]:
        """The latest *limit* of those *wanted*, likewise."""
        query, values = _selected("rowid AS place, body", wanted)
        found = self._rows(f"{query} ORDER BY place DESC LIMIT ?", [*values, limit])
        return [_alarm_decoder.decode(body) for _, body in found]

    def entries(self, most: int, wanted: Wanted) -> list[tuple[int, life.Entry]]:
        """The first *most* of those *wanted*, each with its place."""
        query, values = _selected("rowid AS place, entry", wanted)
        found = self._rows(f"{query} ORDER BY place LIMIT ?", [*values, most])
        return [(place, _entry_decoder.decode(entry)) for place, entry in found]

    def count(self, wanted: Wanted) -> int:
        """How many there are of those *wanted*."""
        query, values = _selected("count(*) AS some", wanted)
        return int(self._rows(f"SELECT sum(some) FROM ({query})", values)[0][0])

    def place(self, alarm_id: str) -> int | None:
        """Where an alarm stands in the order in which they were raised; None where there is none of that id."""
        found = self._rows("SELECT rowid FROM alarms WHERE id = ? AND rev > 0", [alarm_id])
        return int(found[0][0]) if found else None

    def unacknowledged(self) -> dict[tuple[str, str], int]:
        """How many alarms nobody has acknowledged, by source and priority."""
        query, values = _selected("source, priority", Wanted("unacknowledged"))
        found = self._rows(f"SELECT source, priority, count(*) FROM ({query}) GROUP BY source, priority", values)
        return {(source, priority): count for source, priority, count in found}

    def cleared_unseen(self, before: str | None, limit: int) -> list[Alarm]:
        """At most *limit* alarms that are cleared but not acknowledged: by id, downwards from below *before*."""
        query = (
            "SELECT body FROM alarms INDEXED BY alarms_unseen WHERE state = 'cleared' AND acked = 0 AND rev > 0 "
            "AND id < coalesce(?, '~') ORDER BY id DESC LIMIT ?"
        )
        return [_alarm_decoder.decode(body) for (body,) in self._rows(query, [before, limit])]

    def alarms_since(self, sources: Sequence[str], t_ns: int) -> list[Alarm]:
        """The alarms of *sources* raised since *t_ns* (Unix), in their last revision, oldest first."""
        marks = ", ".join("?" * len(sources))
        query = f"SELECT body FROM alarms WHERE rev > 0 AND source IN ({marks}) AND raised_t_ns >= ? ORDER BY rowid"
        return [_alarm_decoder.decode(body) for (body,) in self._rows(query, [*sources, t_ns])]

    def touching(self, first_t_ns: int, last_t_ns: int, most: int) -> list[tuple[Alarm, int | None]]:
        """The latest *most* alarms that were active in a period (Unix), the one raised last first, and when each ended.

        None in place of an end: it is active still.
        """
        query = (
            "SELECT body, cleared_t_ns FROM alarms WHERE rowid IN (SELECT place FROM ("
            "SELECT rowid AS place, raised_t_ns FROM alarms WHERE state = 'active' AND rev > 0 AND raised_t_ns <= ? "
            "UNION ALL SELECT rowid, raised_t_ns FROM alarms INDEXED BY alarms_ended WHERE state = 'cleared' "
            "AND rev > 0 AND cleared_t_ns >= ? AND raised_t_ns <= ?) ORDER BY raised_t_ns DESC, place DESC LIMIT ?) "
            "ORDER BY raised_t_ns DESC, rowid DESC"
        )
        found = self._rows(query, [last_t_ns, first_t_ns, last_t_ns, most])
        return [(_alarm_decoder.decode(body), ended_t_ns) for body, ended_t_ns in found]

    def by_layer(self, job: str, t_ns: int, without: Sequence[str]) -> list[tuple[int | None, str, int]]:
        """How many alarms of *job* were raised since *t_ns* (Unix): (layer, kind or else source, count).

        Of sources *without* those.
        """
        marks = ", ".join("?" * len(without))
        query = (
            "SELECT json_extract(body, '$.layer'), coalesce(json_extract(body, '$.kind.name'), source), count(*) "
            f"FROM alarms WHERE rev > 0 AND raised_t_ns >= ? AND source NOT IN ({marks}) "
            "AND json_extract(body, '$.job') = ? GROUP BY 1, 2 ORDER BY min(rowid)"
        )
        return [(layer, name, count) for layer, name, count in self._rows(query, [t_ns, *without, job])]

    def verdicts(self, sources: Sequence[str], t_ns: int) -> list[tuple[str, Verdict | None, int]]:
        """How many alarms of *sources* were raised since *t_ns* (Unix): (job, verdict, count), the first job first."""
        marks = ", ".join("?" * len(sources))
        query = (
            "SELECT json_extract(body, '$.job') AS job, json_extract(body, '$.verdict') AS verdict, count(*) "
            f"FROM alarms WHERE rev > 0 AND source IN ({marks}) AND raised_t_ns >= ? "
            "GROUP BY job, verdict ORDER BY min(rowid)"
        )
        return [(job, verdict, count) for job, verdict, count in self._rows(query, [*sources, t_ns])]

    def of_event(self, epoch: str, event: int, began_t_ns: int) -> str | None:
        """The id of the alarm that an event has made, or goes on with; None where none is known, or not told yet.

        *began_t_ns*: when it was told of first (Unix), by which alarms that have gone on with another event are found.
        """
        latest = self._rows(
            "SELECT id FROM (SELECT id, entry, rev FROM alarms ORDER BY rowid DESC LIMIT ?) WHERE rev > 0 "
            "AND json_extract(entry, '$.event') = ? AND json_extract(entry, '$.epoch') = ?",
            [LATEST, event, epoch],
        )
        if latest:
            return str(latest[0][0])
        first, last = id_of(began_t_ns, 0), id_of(began_t_ns + BUMPED_NS, 0)
        end = f"%-{suffix_of(epoch, event):08x}"
        query = "SELECT id FROM alarms WHERE id >= ? AND id <= ? AND id LIKE ? AND rev > 0 ORDER BY id LIMIT 1"
        found = self._rows(query, [first, last, end])
        return str(found[0][0]) if found else None

    def changes(self, alarm_id: str) -> list[Told]:
        """Every revision of one alarm, first to last."""
        return self._told("id = ? ORDER BY rev", alarm_id)

    def changes_after(self, row: int, most: int, since_t_ns: int = 0) -> list[Told]:
        """At most so many revisions of any alarm, from behind *row* on, in the order of their writing.

        Without those of before *since_t_ns* (Unix).
        """
        return self._told("row > ? AND t_ns >= ? ORDER BY row LIMIT ?", row, since_t_ns, most)

    def lived(self, first_t_ns: int, last_t_ns: int) -> list[Lived]:
        """The alarms that were raised in a period (Unix), and older ones that are active still."""
        query = (
            "SELECT source, priority, raised_t_ns, acked_t_ns, cleared_t_ns FROM alarms "
            "WHERE raised_t_ns >= ? AND raised_t_ns < ? AND rev > 0 UNION ALL "
            "SELECT source, priority, raised_t_ns, acked_t_ns, cleared_t_ns FROM alarms "
            "WHERE state = 'active' AND raised_t_ns < ? AND rev > 0"
        )
        return [Lived(*one) for one in self._rows(query, [first_t_ns, last_t_ns, first_t_ns])]

    def modes(self) -> tuple[Modes, bool]:
        """Sources that are not told as usual, and whether their monotonic ends are of this boot of the machine."""
        found = self._rows("SELECT * FROM modes")
        machine = self._rows("SELECT machine FROM reader")[0][0]
        modes: dict[Key, Mode] = {(source, mode[0]): Mode(*mode) for source, *mode in found}
        return modes, machine == machine_boot()

    def _told(self, where: str, *values: object) -> list[Told]:
        found = self._rows(f"SELECT row, t_ns, what, by, reason, body FROM changes WHERE {where}", values)
        return [Told(row, t_ns, what, by, why, _alarm_decoder.decode(body)) for row, t_ns, what, by, why, body in found]

    def _rows(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with self._lock:
            return self._db.execute(query, values).fetchall()


def _selected(columns: str, wanted: Wanted) -> tuple[str, list[object]]:
    """A query for *columns* of the alarms *wanted*, without an order, and its values."""
    where = "rowid > ?"
    each: list[object] = [wanted.after]
    if wanted.until is not None:
        where, each = f"{where} AND rowid <= ?", [*each, wanted.until]
    if wanted.source is not None:
        where, each = f"{where} AND source = ?", [*each, wanted.source]
    if wanted.group is not None:
        where = f"{where} AND (json_extract(body, '$.group') = ? OR id = ?)"
        each = [*each, wanted.group, wanted.group]
    parts = [
        f"SELECT {columns} FROM alarms WHERE {state} AND {ack} AND {where}"
        for state, ack in _PARTS[wanted.state]
        if ack == _UNSEEN or not wanted.unseen
    ]
    return " UNION ALL ".join(parts), each * len(parts)
