"""The alarms as a subscriber knows them: of a snapshot, and of the changes that came since."""

from typing import Any

import msgspec


class Table:
    """What waits for its end or for a person, by id; without `journaled`, which tells of the moment of the sending."""

    def __init__(self) -> None:
        self.alarms: dict[str, dict[str, Any]] = {}

    def show(self, *bodies: bytes) -> None:
        """All of a snapshot, in place of what was known."""
        self.alarms = {}
        self.hear(*bodies)

    def hear(self, *bodies: bytes) -> None:
        """Changes of alarms, in the order in which they came."""
        for body in bodies:
            alarm = msgspec.json.decode(body)
            del alarm["journaled"]
            known = self.alarms.get(alarm["id"])
            if known is not None and known["rev"] >= alarm["rev"]:
                continue
            self.alarms[alarm["id"]] = alarm
            if alarm["acked"] and alarm["state"] == "cleared":
                del self.alarms[alarm["id"]]
