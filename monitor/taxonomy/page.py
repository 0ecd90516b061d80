"""The taxonomy as one HTML page that stands by itself: pictures are in it, and it fetches nothing."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from models.taxonomy.cut import Cut
from models.taxonomy.identity import Kind
from monitor.markup import POLICY, STYLE, card, folded, name, number, paragraphs, quiet, table, text, word
from monitor.taxonomy import pictures
from monitor.taxonomy.dendrogram import GROUPS, dendrogram
from monitor.taxonomy.drawing import grey_range, mark, moment, png
from monitor.taxonomy.found import Ids, Taxonomy, by_size, exemplars, members_of, name_of, too_few

FEW_SHOWN: Final = 24
CHANGES_SHOWN: Final = 20
SHA_DIGITS: Final = 12

OWN_STYLE: Final = """
.frames { display: flex; flex-wrap: wrap; gap: 8px; margin: 8px 0 2px }
figure { margin: 0; width: 104px }
figure img { width: 104px; height: 104px; object-fit: contain; background: #000; image-rendering: pixelated;
             border-radius: 4px; display: block }
figcaption { color: #5d666e; font-size: 11px; line-height: 1.3; margin-top: 3px }
.edge img { outline: 2px dashed #c98a1b; outline-offset: -2px }
.kind { display: inline-flex; align-items: center; gap: 5px; margin-right: 18px; white-space: nowrap }
.kind svg, h3 svg { display: inline-block; vertical-align: -2px; margin: 0 4px 0 0 }
.legend { margin: 2px 0 8px; font-size: 13px }
"""

TOLD: Final = {
    "born": "a new kind",
    "survived": "went on",
    "split": "was split",
    "merged": "took in",
    "died": "has no events any more",
    "returned": "is back",
}


def render(given: Taxonomy) -> str:
    """The page."""
    title = f"Kinds of anomaly of {given.camera}"
    grey = grey_range(given.pixels)
    parts = [
        f"<h1>{text(title)}</h1>",
        f'<p class="quiet">{text(moment(given.t_ns))} · bundle {text(given.bundle[:SHA_DIGITS])}{_by(given)}</p>',
        _headline(given),
        *_few(given, grey),
        *_kinds(given, grey),
        *_over_time(given),
        *_map(given),
        *_tree(given),
        *_cuts(given),
        *_gone(given.kinds.kinds),
        *_changes(given),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _by(given: Taxonomy) -> str:
    return f" · embedding {text(given.embedding[:SHA_DIGITS])}" if given.embedding else ""


def _headline(given: Taxonomy) -> str:
    few, alive, cut = len(too_few(given)), len(given.kinds.alive), given.cut
    events = f"{len(given.ids):,} event{'s' if len(given.ids) != 1 else ''}"
    told = f"{alive} kind{'s' if alive != 1 else ''} among {events}" if cut.discrete else f"No kinds among {events}"
    notes = _why(cut)
    if few:
        notes.append(
            f"{few} event{'s are' if few != 1 else ' is'} unlike all others, or in groups too small for a kind."
        )
    if left := len(cut.tree.left_out):
        notes.append(f"{left} had pixels that are no numbers, and are left out.")
    kind = "promise" if cut.discrete else "warnings"
    return f'<div class="card {kind}"><p class="headline">{text(told)}</p>{paragraphs(notes)}</div>'


def _why(cut: Cut) -> list[str]:
    """Why there are as many kinds as there are, in sentences."""
    notes = [f"{cut.why[:1].upper()}{cut.why[1:]}."]
    found = int(cut.labels.max(initial=-1)) + 1
    if cut.discrete and found > cut.chosen:
        notes.append(f"{found - cut.chosen} more came of groups whose parts are kinds of their own, merged early.")
    return notes


def _few(given: Taxonomy, grey: tuple[float, float]) -> Iterable[str]:
    rows = too_few(given)
    if not len(rows):
        return
    yield "<h2>Too few to be a kind</h2>"
    notes = ["Single events and tiny groups, the least like any kind first: often the most interesting ones."]
    if len(rows) > FEW_SHOWN:
        notes.append(f"{FEW_SHOWN} of {len(rows)} are shown.")
    yield card(quiet(notes) + _frames(given, rows[:FEW_SHOWN], grey))


def _kinds(given: Taxonomy, grey: tuple[float, float]) -> Iterable[str]:
    kinds = by_size(given)
    if not kinds:
        return
    yield "<h2>Kinds</h2>"
    yield quiet(
        [
            "Of each kind the events nearest to its centre, and, outlined, those at its edge. All frames share one "
            "scale of grey."
        ]
    )
    for kind in kinds:
        some = exemplars(given, kind)
        pictured = _figures(given, some.nearest, grey) + _figures(given, some.farthest, grey, "edge")
        yield card(f'{_kind_head(given, kind)}<div class="frames">{pictured}</div>')


def _kind_head(given: Taxonomy, kind: Kind) -> str:
    rows = members_of(given, kind)
    told = [f"#{kind.id}", f"{len(rows):,} event{'s' if len(rows) != 1 else ''}"]
    if len(rows):
        told.append(f"{moment(given.seen_ns[rows].min())} to {moment(given.seen_ns[rows].max())}")
    told.append(f"priority {kind.priority}" if kind.priority else "priority by the limits")
    if kind.parent is not None:
        told.append(f"split from #{kind.parent}")
    sign = f'<svg width="14" height="14" viewBox="0 0 14 14">{mark(7, 7, kind.id, 5)}</svg>'
    notes = "".join(f"<p>{text(note)}</p>" for note in kind.notes)
    return f'<h3>{sign}{text(name_of(kind))}</h3><p class="quiet">{text(" · ".join(told))}</p>{notes}'


def _frames(given: Taxonomy, rows: Ids, grey: tuple[float, float]) -> str:
    return f'<div class="frames">{_figures(given, rows, grey)}</div>'


def _figures(given: Taxonomy, rows: Ids, grey: tuple[float, float], kind: str = "") -> str:
    return "".join(_figure(given.pixels[row], int(given.ids[row]), int(given.seen_ns[row]), grey, kind) for row in rows)


def _figure(pixels: Any, number_: int, t_ns: int, grey: tuple[float, float], kind: str) -> str:
    told = moment(t_ns)
    return (
        f'<figure class="{kind}"><img src="{png(pixels, grey)}" alt="event {number_}" title="event {number_}, {told}">'
        f"<figcaption>{number_}<br>{told[5:19]}</figcaption></figure>"
    )


def _over_time(given: Taxonomy) -> Iterable[str]:
    if len(given.ids):
        yield "<h2>Kinds over time</h2>"
        notes = [
            "Events in each stretch of time, in UTC; heights are square roots of counts, on one scale for all. "
            "* born, ↺ returned, Y split, λ took another in, † died."
        ]
        yield card(quiet(notes) + pictures.over_time(given))


def _map(given: Taxonomy) -> Iterable[str]:
    drawn, plane, count = pictures.map_of(given)
    if not len(plane.rows):
        return
    shares = sum(plane.shares)
    notes = [
        f"Each event on the two directions in which all differ most: {shares:.0%} of their variance. Kinds that lie "
        "over each other here may be far apart in the others."
    ]
    if count < len(plane.rows):
        notes.append(f"{count:,} of {len(plane.rows):,} events are drawn, and of rare kinds all.")
    if len(plane.normal):
        notes.append(f"Small grey dots: {len(plane.normal):,} normal frames, to compare with.")
    yield "<h2>Map</h2>"
    yield card(quiet(notes) + pictures.legend(by_size(given)) + drawn)


def _tree(given: Taxonomy) -> Iterable[str]:
    tree = given.cut.tree
    if tree.leaves < 2:
        return
    notes = [f"Events merge the lower down the more alike they are ({tree.linkage} linkage)."]
    if tree.leaves > GROUPS:
        notes.append(f"The highest {GROUPS - 1} merges are drawn.")
    notes.append("Coloured numbers are kinds by their id; grey ones count events on branches that are of none.")
    yield "<h2>Tree</h2>"
    yield card(quiet(notes) + dendrogram(given))


def _cuts(given: Taxonomy) -> Iterable[str]:
    found = given.cut.candidates
    if not found:
        return
    yield "<h2>Why this many kinds</h2>"
    notes = [
        "Silhouette: how much nearer events lie to their own kind than to the next, 1 being the best. Found again: how "
        "much of the grouping other samples of the same events give (adjusted Rand index)."
    ]
    head = [
        number(one) for one in ("kinds", "height", "gap", "silhouette", "on whole points", "found again", "too few")
    ]
    rows = [
        [
            number(f"{one.kinds}{' ←' if one.kinds == given.cut.chosen else ''}"),
            *map(number, (f"{one.height:.3g}", f"{one.gap:.2f}", f"{one.silhouette:.2f}")),
            *map(number, (f"{one.silhouette_whole:.2f}", f"{one.reproducibility:.2f}", f"{one.few}")),
        ]
        for one in found
    ]
    yield card(
        paragraphs(_why(given.cut))
        + quiet(notes)
        + pictures.cuts(given.cut)
        + folded("All cuts in numbers", table(head, rows))
    )


def _gone(kinds: Sequence[Kind]) -> Iterable[str]:
    asleep = [kind for kind in kinds if kind.state != "alive"]
    if not asleep:
        return
    yield "<h2>Kinds without events now</h2>"
    head = [number("id"), word("name"), word("what became of it"), word("notes")]
    rows = [
        [
            number(str(kind.id)),
            name(name_of(kind)),
            word(f"merged into #{kind.merged_into}" if kind.state == "merged" else "dormant: it may return"),
            word("; ".join(kind.notes)),
        ]
        for kind in asleep
    ]
    yield card(table(head, rows))


def _changes(given: Taxonomy) -> Iterable[str]:
    shown = [one for one in given.changes if one.change.what != "survived"][::-1]
    if not shown:
        return
    called = {kind.id: name_of(kind) for kind in given.kinds.kinds}

    def told(number_: int) -> str:
        held = called.get(number_, "")
        return f"#{number_}" if held in ("", f"kind {number_}") else f"#{number_} {held}"

    head = [word("when"), word("kind"), word("what"), word("others")]
    rows = [
        [
            word(moment(one.t_ns)),
            name(told(one.change.id)),
            word(TOLD[one.change.what]),
            word(", ".join(map(told, one.change.others))),
        ]
        for one in shown
    ]
    more = rows[CHANGES_SHOWN:]
    yield "<h2>Births, splits, mergers, deaths</h2>"
    yield card(table(head, rows[:CHANGES_SHOWN]) + (folded(f"{len(more)} earlier", table(head, more)) if more else ""))
