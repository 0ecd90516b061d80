"""A comparison of embeddings and ways to group as one HTML page that stands by itself: it fetches nothing."""

from collections.abc import Iterable
from typing import Final, NamedTuple

import numpy as np

from models.taxonomy.cut import NO_KINDS
from models.taxonomy.ways import NAMES, Way, numbered_like
from monitor.markup import POLICY, STYLE, card, name, number, paragraphs, quiet, table, text, word
from monitor.taxonomy.compare import Comparison, Embedded, Grouped
from monitor.taxonomy.compare_pictures import DRAWN, curves, legend_of_ways, maps
from monitor.taxonomy.drawing import grey_range, mark, moment, png
from monitor.taxonomy.found import Floats, Ids
from monitor.taxonomy.labels import NAMED

SHOWN: Final = 4  # events of a group
GROUPS_SHOWN: Final = 24
SHA_DIGITS: Final = 12

OWN_STYLE: Final = """
.kind { display: inline-flex; align-items: center; gap: 5px; margin-right: 18px; white-space: nowrap }
.kind svg, .group svg { display: inline-block; vertical-align: -2px; margin: 0 4px 0 0 }
.legend { margin: 2px 0 8px; font-size: 13px }
.groups { display: flex; flex-wrap: wrap; gap: 10px 18px; margin: 8px 0 4px }
.group { font-size: 12px }
.group img { width: 60px; height: 60px; object-fit: contain; background: #000; image-rendering: pixelated;
             border-radius: 3px; margin-right: 3px }
@media (prefers-color-scheme: dark) {
  :root { color: #dde1e4; background: #16191c }
  .card { background: #1e2226; border-color: #343a40 }
  .warnings { background: #2a2517 }
  .quiet, th, figcaption { color: #a3acb4 }
  th, td { border-color: #343a40 }
  td.over { color: #e58a80 }
  svg { fill: #dde1e4 }
  svg text { fill: #dde1e4; stroke: #1e2226 }
  svg text[fill="#5d666e"] { fill: #a3acb4 }
  svg line[stroke="#e1e4e7"] { stroke: #343a40 }
  svg rect[fill="#fafbfc"] { fill: #16191c }
}
"""

CHOSEN_BY: Final = {"rule": "the rule", "silhouette": "silhouette", "BIC": "BIC", "told": "as told"}


class Numbered(NamedTuple):
    """Numbers of groups under which the same events have the same colour, whichever way grouped them."""

    reference: Ids  # (n,)
    names: tuple[str, ...]  # of the reference's groups, where they are labels


def render(given: Comparison) -> str:
    """The page."""
    title = f"Ways to group the anomalies of {given.camera}"
    numbered = _numbered(given)
    parts = [
        f"<h1>{text(title)}</h1>",
        f'<p class="quiet">{text(moment(given.t_ns))} · bundle {text(given.bundle[:SHA_DIGITS])}</p>',
        _headline(given),
        "<h2>All ways</h2>",
        card(quiet(_about_table(given)) + _table(given)),
        *(part for one in given.embeddings for part in _embedding(given, one, numbered)),
        *_exemplars(given, numbered),
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{text(title)}</title>\n<style>{STYLE}{OWN_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )


def _numbered(given: Comparison) -> Numbered:
    """By labels, where there are any, else by the linkage that the configuration asks for."""
    if given.labelled is not None:
        labels = np.array(given.labelled.labels)
        names, counts = np.unique(labels[labels != ""], return_counts=True)
        order = names[np.argsort(-counts, kind="stable")].tolist()
        places = {one: index for index, one in enumerate(order)}
        return Numbered(np.array([places.get(one, -1) for one in labels.tolist()]), tuple(order))
    ways = given.embeddings[0].ways
    return Numbered(next(one.way for one in ways if one.way.name == given.settings.linkage).labels, ())


def _headline(given: Comparison) -> str:
    count, ways = len(given.events), sum(len(one.ways) for one in given.embeddings)
    notes = [f"{ways} groupings, by {len(given.embeddings)} embeddings, in {given.seconds:.1f} s of one thread."]
    if given.left_out:
        notes.append(f"Left out: {given.left_out}.")
    if given.labelled is not None:
        told = f"{given.labelled.known:,} of them have labels, from {given.labelled.source}"
        notes.append(f"{told}. Labels chose nothing: they are held against what was found.")
        if given.labelled.source == NAMED:
            notes.append("These kinds were found by one of the ways below, which agrees with its own groups.")
    return f'<div class="card promise"><p class="headline">{count:,} events</p>{paragraphs(notes)}</div>'


def _about_table(given: Comparison) -> list[str]:
    notes = [
        f"Trees are cut by the rule '{given.settings.rule}'. Of k-means and k-medoids the number of groups with the "
        "largest silhouette counts, of Gaussian mixtures the one with the least BIC; elbow: where the cost lies "
        "farthest below the line from its first to its last value."
        if given.numbers.told is None
        else f"Every way was told to find {given.numbers.told} groups.",
        f"'No kinds': nothing speaks for kinds, among others where no silhouette on whole points reaches {NO_KINDS}. "
        "Silhouettes of different embeddings are on different scales: one that is larger is not better for that.",
    ]
    if given.labelled is not None:
        notes.append(
            "ARI and NMI: how far groups agree with labels (1: wholly, ARI 0: by chance), over labelled events; an "
            "event kept apart counts as a group of its own."
        )
    return notes


def _table(given: Comparison) -> str:
    head = [
        word("embedding"), word("way"), number("groups"), word("chosen by"), number("silhouette"), number("elbow"),
        number("kept apart"), number("ARI"), number("NMI"), number("seconds"),
    ]  # fmt: skip
    rows = [
        [name(one.name if not index else ""), word(grouped.way.name), *_cells(grouped)]
        for one in given.embeddings
        for index, grouped in enumerate(one.ways)
    ]
    return table(head, rows)


def _cells(given: Grouped) -> list[tuple[str, str]]:
    way, held = given.way, given.held
    return [
        number(f"{way.groups}" if way.discrete else f"{way.groups}, no kinds"),
        word(CHOSEN_BY[way.by]),
        number(f"{way.silhouette:.2f}" if way.groups > 1 else "-"),
        number("-" if way.curve is None else f"{way.curve.at_elbow}"),
        number(f"{way.few}"),
        number("-" if held is None else f"{held.agreement.ari:.2f}"),
        number("-" if held is None else f"{held.agreement.nmi:.2f}"),
        number(f"{given.seconds:.1f}"),
    ]


def _embedding(given: Comparison, one: Embedded, numbered: Numbered) -> Iterable[str]:
    titled: list[tuple[str, Ids]] = [] if not numbered.names else [("as labelled", numbered.reference)]
    titled += [(_told(grouped.way), numbered_like(grouped.way.labels, numbered.reference)) for grouped in one.ways]
    drawn, share = maps(one.points, titled)
    notes = [f"{one.about[:1].upper()}{one.about[1:]}; {one.points.shape[1]} numbers."]
    if one.left_out:
        notes.append(f"{one.left_out} events have pixels that are no numbers, and are left out.")
    seen = [
        f"Events on the two directions in which all differ most: {share:.0%} of their variance. Groups of one colour "
        "and shape share most events; rings are in no group."
    ]
    if len(given.events) > DRAWN:
        seen.append(f"{DRAWN} events are drawn, spread evenly, and more of rare groups.")
    yield f"<h2>Embedding: {text(one.name)}</h2>"
    yield card(quiet(notes) + legend_of_ways() + curves([grouped.way for grouped in one.ways]) + _about_curves())
    yield card(quiet(seen) + _legend_of_labels(numbered) + drawn)


def _told(way: Way) -> str:
    return f"{way.name}: {way.groups}" if way.discrete else f"{way.name}: no kinds"


def _about_curves() -> str:
    return quiet(
        [
            "Rings: the elbow; the number of groups that counts, which a rule may divide further; the least BIC. "
            f"Dashed: {NO_KINDS}."
        ]
    )


def _legend_of_labels(numbered: Numbered) -> str:
    shown = (
        f'<span class="kind"><svg width="14" height="14" viewBox="0 0 14 14">{mark(7, 7, index + 1)}</svg>'
        f"{text(label)}</span>"
        for index, label in enumerate(numbered.names)
    )
    return f'<p class="legend">{"".join(shown)}</p>' if numbered.names else ""


def _exemplars(given: Comparison, numbered: Numbered) -> Iterable[str]:
    grey = grey_range(given.pictures)
    yield "<h2>Groups of each way</h2>"
    yield quiet(
        [
            "By the embedding in which the way has kinds and its largest silhouette: of each group the events nearest "
            "to its middle. All frames share one scale of grey."
        ]
    )
    for way in NAMES:
        one, grouped = _best(given, way)
        numbers = numbered_like(grouped.way.labels, numbered.reference)
        shown = [_group(given, one.points, numbers, group, grey) for group in np.unique(numbers[numbers >= 0])]
        head = f"{way}, by {one.name}: {grouped.way.why}"
        more = [f"{GROUPS_SHOWN} of {len(shown)} are shown."] if len(shown) > GROUPS_SHOWN else []
        yield card(f'<h3>{text(head)}</h3><div class="groups">{"".join(shown[:GROUPS_SHOWN])}</div>{quiet(more)}')


def _best(given: Comparison, way: str) -> tuple[Embedded, Grouped]:
    every = [(one, grouped) for one in given.embeddings for grouped in one.ways if grouped.way.name == way]
    return max(every, key=lambda found: (found[1].way.discrete, found[1].way.silhouette))


def _group(given: Comparison, points: Floats, numbers: Ids, group: int, grey: tuple[float, float]) -> str:
    rows = np.flatnonzero(numbers == group)
    away = np.linalg.norm(points[rows] - points[rows].mean(axis=0), axis=1)
    pictured = "".join(_picture(given, row, grey) for row in rows[np.argsort(away, kind="stable")][:SHOWN].tolist())
    sign = f'<svg width="14" height="14" viewBox="0 0 14 14">{mark(7, 7, int(group) + 1, 5)}</svg>'
    return f'<div class="group">{sign}{len(rows):,} event{"s" * (len(rows) != 1)}<br>{pictured}</div>'


def _picture(given: Comparison, row: int, grey: tuple[float, float]) -> str:
    event = given.events[row]
    told = f"event {event.id}, frame {event.seq} of {event.stream}"
    if given.labelled is not None and given.labelled.labels[row]:
        told += f": {given.labelled.labels[row]}"
    return f'<img src="{png(given.pictures[row], grey)}" alt="{text(told)}" title="{text(told)}">'
