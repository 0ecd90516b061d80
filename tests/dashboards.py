"""The dashboards of deploy/grafana as Python sees them: panels, queries, and the metrics that these name."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

FOLDER = Path(__file__).parents[1] / "deploy" / "grafana" / "dashboards"
FILES = sorted(FOLDER.glob("*.json"))

OF_PROMETHEUS = {"ALERTS"}
"""Series that Prometheus makes itself."""


class Query(NamedTuple):
    board: str
    panel: str
    expr: str


def read(path: Path) -> dict[str, Any]:
    found = json.loads(path.read_text())
    assert isinstance(found, dict)
    return found


def panels(board: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every panel, rows and what is folded into them among them."""
    for panel in board["panels"]:
        yield panel
        yield from panel.get("panels", [])


def queries() -> list[Query]:
    """All that any panel asks."""
    return [
        Query(path.stem, panel["title"], target["expr"])
        for path in FILES
        for panel in panels(read(path))
        for target in panel.get("targets", [])
    ]


def filled_in(expr: str, camera: str, window: str) -> str:
    """*expr* as Grafana asks it, for one *camera* and with a *window* for rates."""
    return expr.replace("$camera", camera).replace("$__rate_interval", window)


def metrics_of(expr: str) -> set[str]:
    """The names of the series that *expr* selects by a label; every selection here names the camera."""
    return set(re.findall(r"([A-Za-z_:][\w:]*)\{", expr))
