"""Which of a source's alarms a client sees as its condition, and which as branches of it. Pure.

The newest alarm of a source is its condition's own state (the trunk, with no BranchId). An older one that is still
active or not acknowledged is a branch under its own id: Part 9's "previous states that still need attention". The
trunk is kept (Retain) as long as it needs attention itself or has branches, as Annex B recommends.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

from monitor.alarms.alarm import Alarm

BRANCHES_MAX: Final = 100
"""Beyond so many the oldest are let go, where nobody acknowledges: a refresh must end. The journal keeps them all."""

OVER_MAX: Final = 256
"""So many branches that are over are remembered: a revision that comes again must not bring one back."""


class Notice(NamedTuple):
    """What clients are to be told: the state of *alarm*, as a branch or as the condition itself."""

    alarm: Alarm
    branch: bool
    retain: bool


class Condition(NamedTuple):
    """The alarms of one source. A value: `follow` gives a new one."""

    trunk: Alarm | None = None
    branches: Mapping[str, Alarm] = {}
    over: tuple[str, ...] = ()  # ids of branches that are over, newest last

    @property
    def notices(self) -> list[Notice]:
        """What holds now, the trunk first; a client that comes late is to be told what of it is retained."""
        return [*_trunk_notices(self), *(Notice(alarm, True, True) for _, alarm in sorted(self.branches.items()))]

    def knows(self, alarm_id: str) -> bool:
        """Whether the alarm was one of this condition's lately."""
        trunk = self.trunk
        return (trunk is not None and trunk.id == alarm_id) or alarm_id in self.branches or alarm_id in self.over


def needs_attention(alarm: Alarm) -> bool:
    """Whether *alarm* is interesting for an operator: what Part 9 calls Retain."""
    return alarm.state == "active" or not alarm.acked


def follow(condition: Condition, alarm: Alarm) -> tuple[Condition, list[Notice]]:
    """The condition after this revision of *alarm*, and what is to be told of it. One known already tells nothing."""
    trunk = condition.trunk
    known = trunk if trunk is not None and trunk.id == alarm.id else condition.branches.get(alarm.id)
    if alarm.id in condition.over or (known is not None and known.rev >= alarm.rev):
        return condition, []
    if trunk is not None and alarm.id < trunk.id:
        return _follow_branch(condition, alarm)
    left = trunk if trunk is not None and trunk.id != alarm.id and needs_attention(trunk) else None
    condition = condition._replace(trunk=alarm)
    if left is not None:
        condition, dropped = _with_branch(condition, left)
        return condition, [*_trunk_notices(condition), Notice(left, True, True), *dropped]
    return condition, _trunk_notices(condition)


def _follow_branch(condition: Condition, alarm: Alarm) -> tuple[Condition, list[Notice]]:
    """An alarm that is not its source's newest: the first branch and the last one may change the trunk's Retain."""
    before = _of_trunk(condition)
    told: list[Notice] = []
    if needs_attention(alarm):
        condition, told = _with_branch(condition, alarm)
        told = [Notice(alarm, True, True), *told]
    elif alarm.id in condition.branches:
        condition = _without_branch(condition, alarm.id)
        told = [Notice(alarm, True, False)]
    return condition, [*told, *([] if _of_trunk(condition) == before else _trunk_notices(condition))]


def _with_branch(condition: Condition, alarm: Alarm) -> tuple[Condition, list[Notice]]:
    condition = condition._replace(branches={**condition.branches, alarm.id: alarm})
    if len(condition.branches) <= BRANCHES_MAX:
        return condition, []
    oldest = condition.branches[min(condition.branches)]
    return _without_branch(condition, oldest.id), [Notice(oldest, True, False)]


def _without_branch(condition: Condition, alarm_id: str) -> Condition:
    branches = {known: alarm for known, alarm in condition.branches.items() if known != alarm_id}
    return condition._replace(branches=branches, over=(*condition.over, alarm_id)[-OVER_MAX:])


def _of_trunk(condition: Condition) -> Notice | None:
    trunk = condition.trunk
    if trunk is None:
        return None
    return Notice(trunk, False, needs_attention(trunk) or bool(condition.branches))


def _trunk_notices(condition: Condition) -> list[Notice]:
    trunk = _of_trunk(condition)
    return [] if trunk is None else [trunk]
