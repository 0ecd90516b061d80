"""The taxonomy for people: an HTML page that stands by itself, and the same as JSON for the operator page.

`render` and `to_json` take a `monitor.taxonomy.found.Taxonomy`. Whoever calls them needs what grouping needs
(scikit-learn among it): the side process hands on what they made.
"""

import math
from typing import Any

import msgspec
import numpy as np

from models.taxonomy.cut import Candidate
from models.taxonomy.identity import Kind
from monitor.taxonomy.dendrogram import Branch, branches
from monitor.taxonomy.drawing import colour_of, grey_range, png
from monitor.taxonomy.found import (
    NO_KIND,
    Happened,
    Ids,
    Taxonomy,
    bins_of,
    by_size,
    cut_height,
    exemplars,
    kind_of,
    kinds_below,
    members_of,
    name_of,
    plane,
    too_few,
)
from monitor.taxonomy.page import FEW_SHOWN, render
from monitor.taxonomy.pictures import STRETCHES

__all__ = ["render", "to_json"]


def to_json(given: Taxonomy) -> bytes:
    """All that the page shows, version 1. Times are Unix nanoseconds; pictures are addresses that hold themselves."""
    cut, grey, few, found = given.cut, grey_range(given.pixels), too_few(given), plane(given)
    kinds, at = kind_of(given), cut_height(cut)
    root = branches(cut.tree, kinds_below(cut, kinds))
    return msgspec.json.encode(
        {
            "v": 1,
            "camera": given.camera,
            "bundle": given.bundle,
            "embedding": given.embedding or None,
            "t_ns": given.t_ns,
            "events": len(given.ids),
            "discrete": cut.discrete,
            "why": cut.why,
            "silhouette": cut.silhouette,
            "too_few": {"count": len(few), "events": _events(given, few[:FEW_SHOWN], grey)},
            "left_out": given.ids[cut.tree.left_out].tolist(),
            "kinds": [_living(given, kind, grey) for kind in by_size(given)],
            "gone": [_told(kind) for kind in given.kinds.kinds if kind.state != "alive"],
            "over_time": _over_time(given, kinds),
            "map": {
                "ids": given.ids[found.rows].tolist(),
                "kinds": _or_none(kinds[found.rows]),
                "places": np.round(found.places, 4).tolist(),
                "shares": found.shares,
                "normal": np.round(found.normal, 4).tolist(),
            },
            "tree": {"linkage": cut.tree.linkage, "cut_at": at, "root": None if root is None else _branch(root)},
            "cuts": [_cut(one, one.kinds == cut.chosen) for one in cut.candidates],
            "changes": [_change(one) for one in given.changes],
        }
    )


def _told(kind: Kind) -> dict[str, Any]:
    return {
        "id": kind.id,
        "name": name_of(kind),
        "named": bool(kind.name),
        "state": kind.state,
        "priority": kind.priority,
        "notes": kind.notes,
        "parent": kind.parent,
        "merged_into": kind.merged_into,
        "radius": kind.radius,
        "colour": colour_of(kind.id),
    }


def _living(given: Taxonomy, kind: Kind, grey: tuple[float, float]) -> dict[str, Any]:
    rows, some = members_of(given, kind), exemplars(given, kind)
    return {
        **_told(kind),
        "events": len(rows),
        "first_ns": int(given.seen_ns[rows].min()) if len(rows) else None,
        "last_ns": int(given.seen_ns[rows].max()) if len(rows) else None,
        "nearest": _events(given, some.nearest, grey),
        "farthest": _events(given, some.farthest, grey),
    }


def _events(given: Taxonomy, rows: Ids, grey: tuple[float, float]) -> list[dict[str, Any]]:
    return [
        {"id": int(given.ids[row]), "t_ns": int(given.seen_ns[row]), "picture": png(given.pixels[row], grey)}
        for row in rows.tolist()
    ]


def _over_time(given: Taxonomy, kinds: Ids) -> dict[str, Any]:
    edges, places = bins_of(given, STRETCHES)
    return {
        "first_ns": int(edges[0]),
        "last_ns": int(edges[-1]),
        "counts": [
            {
                "kind": None if kind == NO_KIND else kind,
                "counts": np.bincount(places[kinds == kind], minlength=len(edges) - 1).tolist(),
            }
            for kind in np.unique(kinds).tolist()
        ],
    }


def _or_none(kinds: Ids) -> list[int | None]:
    return [None if kind == NO_KIND else kind for kind in kinds.tolist()]


def _branch(one: Branch) -> dict[str, Any]:
    """Children within: as deep as branches are drawn, and no deeper."""
    told: dict[str, Any] = {"height": one.height, "events": one.size, "kind": None if one.kind < 0 else one.kind}
    return told | ({"children": [_branch(child) for child in one.children]} if one.children else {})


def _cut(one: Candidate, chosen: bool) -> dict[str, Any]:
    return one._asdict() | {"gap": one.gap if math.isfinite(one.gap) else None, "chosen": chosen}


def _change(one: Happened) -> dict[str, Any]:
    return {"t_ns": one.t_ns, **one.change._asdict()}
