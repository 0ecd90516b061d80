"""Kinds over time, the map of the events, and the silhouettes of the cuts, as pictures."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from models.taxonomy.cut import NO_KINDS, Candidate, Cut
from models.taxonomy.identity import Kind
from monitor.markup import text
from monitor.taxonomy.drawing import (
    COLOURS,
    GRID,
    INK,
    QUIET,
    RULE,
    WIDTH,
    colour_of,
    line,
    mark,
    moment,
    svg,
    time_ticks,
    words,
)
from monitor.taxonomy.found import (
    NO_KIND,
    Floats,
    Happened,
    Ids,
    Plane,
    Taxonomy,
    bins_of,
    by_size,
    kind_of,
    name_of,
    plane,
)

LANE_PX, LANE_TOP_PX, LANE_FOOT_PX = 26, 8, 26
NAMES_PX, COUNTS_PX = 190, 60
STRETCHES: Final = 160
LEAST_PX: Final = 4.0  # of a bar: a single event shows
NAME_LETTERS: Final = 26

MAP_PX, MAP_PAD_PX = 460, 26
POINTS_MAX: Final = 2000
NAME_PX, LINE_PX = 110, 14  # that a name takes
LINES: Final = 6  # above or below its place, that one gives way to others

CUTS_PX, CUTS_PAD_PX = 210, 44
BORN_AND_THE_LIKE: Final = {"born": "*", "returned": "↺", "split": "Y", "merged": "λ", "died": "†"}


def over_time(given: Taxonomy) -> str:
    """A lane for each living kind, and one for events in none: how many in each stretch of time, and what became of it.

    Heights are square roots of counts, on one scale for all.
    """
    edges, places = bins_of(given, STRETCHES)
    of = kind_of(given)
    lanes: list[tuple[int, str]] = [(NO_KIND, "in no kind")] if (of == NO_KIND).any() else []
    lanes += [(kind.id, name_of(kind)) for kind in by_size(given)]
    counts = {kind: np.bincount(places[of == kind], minlength=len(edges) - 1) for kind, _ in lanes}
    most = max((int(one.max()) for one in counts.values()), default=1)
    height = LANE_TOP_PX + LANE_PX * len(lanes) + LANE_FOOT_PX
    first, last = float(edges[0]), float(edges[-1])
    width = WIDTH - NAMES_PX - COUNTS_PX

    def across(t_ns: float) -> float:
        return NAMES_PX + width * (t_ns - first) / (last - first)

    parts = list(_times(first, last, height - LANE_FOOT_PX))
    for lane, (kind, name) in enumerate(lanes):
        foot = LANE_TOP_PX + LANE_PX * (lane + 1)
        parts += [line(NAMES_PX, foot, NAMES_PX + width, foot, GRID), _name(kind, name, foot)]
        parts.append(words(WIDTH, foot - 6, f"{int(counts[kind].sum()):,}", "end", QUIET))
        for place in np.flatnonzero(counts[kind]).tolist():
            tall = max((LANE_PX - 5) * float(np.sqrt(counts[kind][place] / max(most, 1))), LEAST_PX)
            left, right = across(float(edges[place])), across(float(edges[place + 1]))
            parts.append(
                f'<rect x="{left:.1f}" y="{foot - tall:.1f}" width="{max(right - left - 0.6, 1.2):.1f}" '
                f'height="{tall:.1f}" fill="{colour_of(kind)}"/>'
            )
        parts += [
            _turn(across(one.t_ns), foot, one) for one in given.changes if one.change.id == kind and one.t_ns >= first
        ]
    return svg(height, parts, "Kinds over time")


def _times(first: float, last: float, foot: float) -> Iterator[str]:
    width = WIDTH - NAMES_PX - COUNTS_PX
    for t_ns, told in time_ticks(first, last):
        x = NAMES_PX + width * (t_ns - first) / (last - first)
        yield line(x, LANE_TOP_PX, x, foot, GRID)
        yield words(x, foot + 16, told, "middle", QUIET)


def _name(kind: int, name: str, foot: float) -> str:
    shown = name if len(name) <= NAME_LETTERS else f"{name[: NAME_LETTERS - 1]}…"
    return mark(8, foot - 10, kind) + words(20, foot - 6, shown)


def _turn(x: float, foot: float, happened: Happened) -> str:
    """A sign above what became of a kind; that it went on is not shown."""
    sign = BORN_AND_THE_LIKE.get(happened.change.what)
    if sign is None or x > WIDTH - COUNTS_PX + 1:
        return ""
    told = f"<title>{happened.change.what} {moment(happened.t_ns)}</title>"
    return (
        f"<g>{told}{line(x, foot - LANE_PX + 3, x, foot, INK)}{words(x + 3, foot - LANE_PX + 13, sign, bold=True)}</g>"
    )


def map_of(given: Taxonomy) -> tuple[str, Plane, int]:
    """Events on their first two principal components, by kind; how they lie there, and how many are drawn."""
    found, of = plane(given), kind_of(given)
    shown = some_of_each(of[found.rows], POINTS_MAX)
    everywhere = fitted(np.concatenate((found.places, found.normal)), WIDTH, MAP_PX, MAP_PAD_PX)
    at, usual = everywhere[: len(found.places)], everywhere[len(found.places) :]
    parts = [f'<rect width="{WIDTH}" height="{MAP_PX}" fill="#fafbfc"/>']
    parts += [
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="1.4" fill="{QUIET}" fill-opacity="0.4"/>' for x, y in usual.tolist()
    ]
    kinds = of[found.rows]
    for kind in [*(one.id for one in by_size(given)), NO_KIND]:
        rows = shown[kinds[shown] == kind]
        marks = "".join(mark(x, y, kind, 3.2) for x, y in at[rows].tolist())
        parts.append(f'<g fill-opacity="0.75">{marks}</g>')
    parts += _map_names(given, at, kinds)
    return svg(MAP_PX, parts, "Map of the events"), found, len(shown)


def fitted(places: Floats, width: float, height: float, pad: float) -> Floats:
    """*places* (n, 2) as they lie in a picture: on one scale, so that near is near in every direction."""
    low, high = places.min(axis=0, initial=0.0), places.max(axis=0, initial=0.0)
    across, up = np.maximum(high - low, 1e-9)
    scale = min((width - 2 * pad) / across, (height - 2 * pad) / up)
    found: Floats = (places - (low + high) / 2) * (scale, -scale) + (width / 2, height / 2)
    return found


def _map_names(given: Taxonomy, at: Floats, kinds: Ids) -> Iterator[str]:
    """The name of each kind above its events, or a few lines off where another name is."""
    taken: list[tuple[float, float]] = []
    for one in by_size(given):
        places = at[kinds == one.id]
        if not len(places):
            continue
        x = min(max(float(np.median(places[:, 0])), NAME_PX / 2), WIDTH - NAME_PX / 2)
        top = float(places[:, 1].min()) - 7
        lines = sorted((top + LINE_PX * step for step in range(-LINES, LINES + 1)), key=lambda y: abs(y - top))
        y = next((y for y in lines if LINE_PX <= y <= MAP_PX and _is_free(x, y, taken)), None)
        if y is None:
            continue  # the legend has them all
        taken.append((x, y))
        yield words(x, y, name_of(one), "middle", bold=True)


def _is_free(x: float, y: float, taken: list[tuple[float, float]]) -> bool:
    return not any(abs(x - left) < NAME_PX and abs(y - top) < LINE_PX - 0.5 for left, top in taken)


def some_of_each(kinds: Ids, most: int) -> Ids:
    """Rows of at most *most* events; of kinds with many some, spread evenly, and of rare ones all."""
    rows = np.arange(len(kinds))
    groups = [rows[kinds == kind] for kind in np.unique(kinds)]
    left, chosen = most, list[Ids]()
    for index, group in enumerate(sorted(groups, key=len)):
        count = min(len(group), left // (len(groups) - index))
        chosen.append(group[np.linspace(0, len(group) - 1, count).round().astype(np.int64)])
        left -= count
    return np.sort(np.concatenate([np.empty(0, np.int64), *chosen]))


def legend(kinds: list[Kind]) -> str:
    """Marks and names of *kinds*, in lines of HTML."""
    shown = [
        f'<span class="kind"><svg width="14" height="14" viewBox="0 0 14 14">{mark(7, 7, kind.id)}</svg>'
        f"{text(name_of(kind))}{f' #{kind.id}' if kind.name else ''}</span>"
        for kind in kinds
    ]
    ring = f'<svg width="14" height="14" viewBox="0 0 14 14">{mark(7, 7, NO_KIND)}</svg>'
    return f'<p class="legend">{"".join(shown)}<span class="kind">{ring}in no kind</span></p>'


def cuts(cut: Cut) -> str:
    """Silhouette of each cut that was looked at, how well it was found again, and which was chosen; empty of none."""
    found = cut.candidates
    if not found:
        return ""
    first, last = found[0].kinds, found[-1].kinds

    def across(kinds: float) -> float:
        share = (kinds - first) / (last - first) if last > first else 0.5
        return CUTS_PAD_PX + share * (WIDTH - 2 * CUTS_PAD_PX - 130)

    lowest = min(0.0, *(min(one.silhouette, one.silhouette_whole) for one in found))

    def up(value: float) -> float:
        return 14 + CUTS_PX * (1 - (value - lowest) / (1 - lowest))

    parts = [line(CUTS_PAD_PX, up(tick), across(last), up(tick), GRID) for tick in (0, 0.25, 0.5, 0.75, 1.0)]
    parts += [words(CUTS_PAD_PX - 8, up(tick) + 4, f"{tick:g}", "end", QUIET) for tick in (0, 0.25, 0.5, 0.75, 1.0)]
    parts += [words(across(one.kinds), up(lowest) + 18, f"{one.kinds}", "middle", QUIET) for one in found]
    parts.append(words((CUTS_PAD_PX + across(last)) / 2, up(lowest) + 36, "kinds", "middle", QUIET))
    parts.append(line(CUTS_PAD_PX, up(NO_KINDS), across(last), up(NO_KINDS), RULE, 1.2, "6 4"))
    if cut.chosen:
        parts.append(line(across(cut.chosen), up(1.0), across(cut.chosen), up(lowest), INK, 1.2, "2 3"))
        parts.append(words(across(cut.chosen) + 5, up(lowest) - 6, "chosen"))
    parts += _curves(found, across(last), lambda one: across(one.kinds), up)
    return svg(CUTS_PX + 60, parts, "Silhouettes by number of kinds")


def _curves(
    found: tuple[Candidate, ...], end: float, across: Callable[[Candidate], float], up: Callable[[float], float]
) -> Iterator[str]:
    told = (
        ("silhouette", COLOURS[0], [one.silhouette for one in found]),
        ("on whole points", COLOURS[4], [one.silhouette_whole for one in found]),
        ("found again", COLOURS[5], [one.reproducibility for one in found]),
    )
    for lane, (name, colour, values) in enumerate(told):
        at = [(across(one), up(value)) for one, value in zip(found, values, strict=True)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        yield "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in at)
        yield line(end + 18, 22 + 20 * lane, end + 38, 22 + 20 * lane, colour, 2)
        yield words(end + 44, 26 + 20 * lane, name)
    yield line(end + 18, 82, end + 38, 82, RULE, 1.2, "6 4")
    yield words(end + 44, 86, f"{NO_KINDS:g}: no kinds")
