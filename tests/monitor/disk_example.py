"""A disk that refuses, for the tests of what is to be written to it."""

import sqlite3

from monitor.journal.store import Departure, Journal, Written


class Disk:
    """A journal whose disk can refuse."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.full = False
        self.takes: int | None = None  # so many commits, then it is full; None: all
        self.asked = 0

    def commit(self, given: Written) -> list[int]:
        self.asked += 1
        if self.full:
            raise sqlite3.OperationalError("database or disk is full")
        if self.takes is not None:
            self.takes -= 1
            self.full = self.takes == 0
        return self._journal.commit(given)

    def unpublished(self) -> list[Departure]:
        return self._journal.unpublished()

    def published(self) -> int:
        return self._journal.published()
