"""Tables of the file of kinds."""

from typing import Final

from monitor.taxonomy.records import Sample

VERSION: Final = 2
APPLICATION: Final = 0x66776B64
"""By which the file is told from those of other programs, and from this one's others."""

TABLES: Final = f"""
CREATE TABLE samples (
    id INTEGER PRIMARY KEY, epoch TEXT NOT NULL, event INTEGER, alarm TEXT, normal INTEGER NOT NULL, kind INTEGER,
    nearest INTEGER, distance REAL, t_ns INTEGER NOT NULL, stream TEXT NOT NULL, seq INTEGER NOT NULL,
    job TEXT NOT NULL, layer INTEGER, context TEXT NOT NULL, x REAL, y REAL, source TEXT NOT NULL, ratio REAL NOT NULL,
    frames_over INTEGER NOT NULL, height INTEGER NOT NULL, width INTEGER NOT NULL, dtype TEXT NOT NULL,
    nbytes INTEGER NOT NULL, pixels BLOB NOT NULL, UNIQUE (epoch, event)
);
CREATE INDEX samples_kinds ON samples (kind) WHERE normal = 0;
CREATE TABLE kinds (
    id INTEGER PRIMARY KEY, state TEXT NOT NULL, name TEXT NOT NULL, notes TEXT NOT NULL, priority TEXT,
    parent INTEGER, merged_into INTEGER, space TEXT NOT NULL, centre BLOB NOT NULL, radius REAL NOT NULL,
    members BLOB NOT NULL, born_t_ns INTEGER NOT NULL, first_t_ns INTEGER NOT NULL, last_t_ns INTEGER NOT NULL,
    gone INTEGER NOT NULL, told INTEGER NOT NULL
);
CREATE TABLE runs (
    number INTEGER PRIMARY KEY, t_ns INTEGER NOT NULL, seconds REAL NOT NULL, bundle TEXT NOT NULL,
    points INTEGER NOT NULL, left_out INTEGER NOT NULL, events INTEGER NOT NULL, upto INTEGER NOT NULL,
    kinds INTEGER NOT NULL,
    discrete INTEGER NOT NULL, silhouette REAL NOT NULL, why TEXT NOT NULL, settings TEXT NOT NULL,
    candidates TEXT NOT NULL, embedding TEXT NOT NULL DEFAULT ''
);
CREATE TABLE changes (run INTEGER NOT NULL, what TEXT NOT NULL, id INTEGER NOT NULL, others TEXT NOT NULL);
CREATE INDEX changes_kinds ON changes (id, run);
CREATE TABLE acts (
    t_ns INTEGER NOT NULL, kind INTEGER NOT NULL, by TEXT NOT NULL, name TEXT, note TEXT, priority TEXT
);
CREATE TABLE state (
    camera TEXT NOT NULL, next_id INTEGER NOT NULL, events INTEGER NOT NULL, missed INTEGER NOT NULL,
    next_kind INTEGER NOT NULL
);
PRAGMA application_id = {APPLICATION};
PRAGMA user_version = {VERSION};
"""

FROM_1: Final = """
ALTER TABLE runs ADD COLUMN embedding TEXT NOT NULL DEFAULT '';
ALTER TABLE kinds RENAME COLUMN bundle TO space;
PRAGMA user_version = 2;
"""

AS_FROM_1: Final = "CREATE TEMP VIEW runs AS SELECT *, '' AS embedding FROM main.runs"
"""Lets a connection see a file of version 1 as one of today, and write nothing into it."""

INSERT_SAMPLE: Final = f"INSERT INTO samples VALUES ({', '.join('?' * (len(Sample._fields) + 1))})"
