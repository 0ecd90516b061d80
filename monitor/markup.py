"""Words, tables and strips as HTML. Every text is escaped here and nowhere else."""

import html
import math
from collections.abc import Iterable, Sequence
from typing import Final

STRIP_PX: Final = (120, 14)

POLICY: Final = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; font-src data:"
)
"""Holds the browser to what this file promises: it fetches nothing."""

STYLE: Final = """
:root { color: #2d3338; background: #f4f5f6; font: 15px/1.55 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif }
body { max-width: 1080px; margin: 0 auto; padding: 28px 20px 60px }
h1 { font-size: 25px; font-weight: 600; margin: 0 0 2px }
h2 { font-size: 18px; font-weight: 600; margin: 34px 0 8px }
h3 { font-size: 15px; font-weight: 600; margin: 0 }
p { margin: 6px 0 }
.quiet { color: #5d666e; font-size: 13px }
.card { background: #fff; border: 1px solid #e1e4e7; border-radius: 8px; padding: 14px 18px; margin: 12px 0 }
.warnings { border-left: 4px solid #c98a1b; background: #fffaf0 }
.good { border-left: 4px solid #5f8f6b }
.promise { border-left: 4px solid #4f7396 }
.headline { font-size: 21px; font-weight: 600; margin: 2px 0 4px }
.footing { font-weight: 600 }
.card ul { margin: 6px 0; padding-left: 20px }
.halves { display: grid; grid-template-columns: 1fr 1fr; gap: 8px; align-items: end }
.halves > * { min-width: 0 }
.pair { display: grid; grid-template-columns: 2fr 3fr; gap: 8px; align-items: end }
.pair > * { min-width: 0 }
@media (max-width: 800px) { .pair, .halves { grid-template-columns: 1fr } .card { overflow-x: auto } }
@media print { body { max-width: none } .card { break-inside: avoid } }
table { border-collapse: collapse; width: 100%; font-size: 14px; font-variant-numeric: tabular-nums }
th { text-align: left; font-weight: 600; color: #5d666e; border-bottom: 1px solid #d5d9dd; padding: 5px 10px 5px 0;
     vertical-align: bottom }
td { border-bottom: 1px solid #eef0f2; padding: 5px 10px 5px 0; overflow-wrap: anywhere; vertical-align: top }
td.number, th.number { text-align: right }
td.number { white-space: nowrap }
td.name { min-width: 150px }
td.over { color: #b4483f; font-weight: 600 }
.pair + p { margin-top: 12px }
svg { display: block; margin: 3px 0 }
summary { cursor: pointer }
"""

Cell = tuple[str, str]
"""Classes and inner HTML."""


def text(words: str) -> str:
    """*words* as HTML that shows them and does nothing else."""
    return html.escape(words)


def card(inner: str) -> str:
    """A card around HTML."""
    return f'<div class="card">{inner}</div>'


def paragraphs(sentences: Iterable[str]) -> str:
    """Each sentence as a paragraph."""
    return "".join(f"<p>{text(sentence)}</p>" for sentence in sentences)


def quiet(sentences: Sequence[str]) -> str:
    """A small grey paragraph of the sentences, or nothing."""
    return f'<p class="quiet">{text(" ".join(sentences))}</p>' if sentences else ""


def word(words: str) -> Cell:
    """A cell of text."""
    return "", text(words)


def name(words: str) -> Cell:
    """A cell of text that names its row: it is not broken more than need be."""
    return "name", text(words)


def number(words: str, *, over: bool = False) -> Cell:
    """A cell that stands at the right; *over*: it is more than it should be."""
    return ("number over" if over else "number"), text(words)


def table(head: Sequence[Cell], rows: Iterable[Sequence[Cell]]) -> str:
    """A table with one row as its head."""
    body = "".join(_row(row, "td") for row in rows)
    return f"<table><thead>{_row(head, 'th')}</thead><tbody>{body}</tbody></table>"


def folded(title: str, inner: str) -> str:
    """HTML that opens when its title is clicked."""
    return f"<details><summary>{text(title)}</summary>{inner}</details>"


def strip(low: float, middle: float, high: float, limit: float, longest: float) -> str:
    """A line from *low* to *high* with a mark at *middle*, and *limit* in red, on a scale of 0 to *longest*."""
    width, height = STRIP_PX
    if not all(map(math.isfinite, (low, middle, high, longest))):
        return ""
    a, b, c, d = (f"{width * min(max(value / longest, 0.0), 1.0):.1f}" for value in (low, middle, high, limit))
    y = height // 2
    return (
        f'<svg width="{width}" height="{height}" role="img"><title>5 to 95 %: {low:.3g} to {high:.3g}, median '
        f'{middle:.3g}</title><line x1="0" y1="{y}" x2="{width}" y2="{y}" stroke="#e1e4e7"></line>'
        f'<line x1="{a}" y1="{y}" x2="{c}" y2="{y}" stroke="#4f7396" stroke-width="5"></line>'
        f'<line x1="{b}" y1="1" x2="{b}" y2="{height - 1}" stroke="#2d3338" stroke-width="2"></line>'
        f'<line x1="{d}" y1="0" x2="{d}" y2="{height}" stroke="#b4483f" stroke-width="1.5"></line></svg>'
    )


def _row(row: Sequence[Cell], tag: str) -> str:
    cells = "".join(
        f'<{tag} class="{kind}">{inner}</{tag}>' if kind else f"<{tag}>{inner}</{tag}>" for kind, inner in row
    )
    return f"<tr>{cells}</tr>"
