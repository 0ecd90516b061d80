"""The calibration report: complete, whole on disk or not there, and in need of nothing from outside."""

import html.parser
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from monitor import figures
from monitor.report import POLICY, Chart, Example, Group, ReportData, render, summary

BLACK = np.zeros((16, 40))
HOSTILE = "</script><script>alert('x')</script> & \"quoted\""


def chart(name: str = "t2", count: int = 200, limit: float = 4.0) -> Chart:
    scores = np.abs(np.random.default_rng(0).normal(0.0, 1.5, count)).astype(np.float32)
    return Chart(name, scores, 1.2, limit, 3.6, 4.4, ((0, "run7"), (count // 2, "run8")))


def example(label: str = "worst", side: int = 20) -> Example:
    frame = np.random.default_rng(1).integers(0, 255, (side, side), dtype=np.uint8)
    made = frame.astype(np.float32) * 0.9
    return Example(label, "run8, frame 41", frame, made, frame - made, {"t2": 5.25, "s2": 0.5})


DATA = ReportData(
    title="Calibration of laser-1",
    camera="laser-1",
    created="2025-03-01 12:00 UTC",
    settings={"latent size": "32", "budget": "5 false alarms an hour"},
    groups=(
        Group("runs/run1", 6000, "train", {}),
        Group("runs/run7", 100, "held-out", {"t2": 0.0, "s2": 0.0123}),
        Group("runs/run8", 100, "held-out", {"t2": 0.00001, "s2": 0.5}),
    ),
    losses=(0.5, 0.2, 0.1),
    charts=(chart("t2"), chart("s2")),
    examples=(example("best"), example("typical"), example("worst")),
    warnings=("Only 2 groups were held out.",),
)


class Page(html.parser.HTMLParser):
    """What a browser would see: texts outside of scripts, and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._hidden = 0
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


def test_everything_a_person_has_to_know_is_in_the_page() -> None:
    text = Page(render(DATA)).text
    for told in (
        "Calibration of laser-1",
        "Camera laser-1 · 2025-03-01 12:00 UTC",
        "learned from 6,000 frames in 1 group.",
        "limits come from 200 frames in 2 groups that it had never seen",
        "Only 2 groups were held out.",
        "latent size 32 budget 5 false alarms an hour",
        "runs/run1 train 6,000 - -",
        "runs/run7 held-out 100 0 % 1.23 %",
        "runs/run8 held-out 100 under 0.01 % 50 %",
        "Worst run8, frame 41 · t2 5.25 · s2 0.5",
    ):
        assert told in text


def test_each_picture_is_there_once_and_the_script_is_inlined_once() -> None:
    page = render(DATA)
    pictures = re.findall(r'id="(picture-\d+)"', page)
    assert len(pictures) == len(set(pictures)) == 2 * 2 + 3 + 1
    assert page.count("Plotly.newPlot(") - figures_in_script() == len(pictures)
    scripts = [len(text) for text in re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)]
    assert sum(length > 1_000_000 for length in scripts) == 1


def figures_in_script() -> int:
    from plotly.offline import get_plotlyjs

    return int(get_plotlyjs().count("Plotly.newPlot("))


def test_the_page_asks_for_nothing_from_outside_and_forbids_it() -> None:
    page = Page(render(DATA))
    for tag, attributes in page.tags:
        assert not {"src", "href", "srcset", "data"} & attributes.keys(), tag
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in page.tags
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_every_tag_is_closed() -> None:
    assert Page(render(DATA)).open == []


def test_names_from_outside_are_text_and_never_code() -> None:
    group = Group(HOSTILE, 3, "held-out", {HOSTILE: 0.1})
    hostile = ReportData(
        title=HOSTILE,
        camera=HOSTILE,
        created=HOSTILE,
        settings={HOSTILE: HOSTILE},
        groups=(group,),
        losses=(1.0,),
        charts=(replace(chart(HOSTILE), boundaries=((0, HOSTILE),)),),
        examples=(replace(example(HOSTILE), where=HOSTILE, scores={HOSTILE: 1.0}),),
        warnings=(HOSTILE,),
    )
    page = render(hostile)
    assert "<script>alert" not in page
    assert Page(page).text.count("alert('x')") >= 8


@pytest.mark.parametrize(
    "data",
    [
        replace(DATA, charts=(), examples=(), losses=(), groups=(), warnings=(), settings={}),
        replace(DATA, charts=(replace(chart(), scores=np.array([], np.float32), boundaries=()),)),
        replace(DATA, charts=(replace(chart(), scores=np.full(9, np.nan)),)),
        replace(DATA, charts=(replace(chart(), scores=np.zeros(9), limit=0.0, limit_low=0.0, limit_high=0.0),)),
        replace(DATA, charts=(replace(chart(), limit=np.inf, limit_low=np.nan, limit_high=np.inf, center=np.nan),)),
        replace(DATA, losses=(0.0, -1.0, 0.5)),
        replace(DATA, losses=(np.nan,)),
        replace(DATA, examples=(Example("worst", "x", BLACK, BLACK, BLACK, {}),)),
    ],
    ids=["empty", "no-scores", "all-nan", "all-equal", "no-limit", "negative-loss", "nan-loss", "black"],
)
def test_data_with_little_in_it_still_makes_a_page(data: ReportData) -> None:
    page = Page(render(data))
    assert page.open == []
    assert "laser-1" in page.text
    if not data.warnings:
        assert "Nothing to warn of." in page.text


# The summary


def test_the_summary_counts_what_is_over_the_limit() -> None:
    scores = np.array([1.0, 2.0, 5.0, np.nan])
    held = replace(chart(), scores=scores, limit=4.0)
    assert "Chart t2: 1 of 3 held-out frames (33.3 %) are over its limit of 4 (interval 3.6 to 4.4)." in summary(
        replace(DATA, charts=(held,))
    )


def test_a_single_held_out_group_is_said_to_be_too_few() -> None:
    alone = summary(replace(DATA, groups=DATA.groups[:2]))
    assert any("single held-out group" in sentence for sentence in alone)
    assert not any("single held-out group" in sentence for sentence in summary(DATA))


def test_a_chart_without_a_limit_is_said_to_have_none() -> None:
    assert "Chart t2 has no limit." in summary(replace(DATA, charts=(replace(chart(), limit=np.nan),)))


def test_what_is_thinned_or_left_out_is_told() -> None:
    scores = np.ones(figures.SERIES_POINTS * 3)
    scores[5] = np.nan
    text = Page(render(replace(DATA, charts=(replace(chart(), scores=scores),), examples=(example(side=320),)))).text
    assert f"{len(scores) - 1:,} scores are drawn as the smallest and largest" in text
    assert "1 scores are not finite and are left out." in text
    assert "averaged in blocks to at most 160 pixels a side" in text


def test_a_long_series_of_scores_does_not_make_a_large_file() -> None:
    short, long = (render(replace(DATA, charts=(chart(count=count),))) for count in (1000, 500_000))
    assert len(long) - len(short) < 100_000


# Thinning

series = arrays.arrays(np.float32, st.integers(1, 400), elements=st.floats(-1e6, 1e6, width=32))


@given(series, st.integers(2, 50))
def test_thinning_keeps_the_extremes_and_the_order(values: Any, points: int) -> None:
    positions, kept = figures.thin_by_extremes(values, points)
    assert len(kept) <= max(points, 2)
    assert (np.diff(positions) > 0).all()
    np.testing.assert_array_equal(kept, values[positions])
    assert (kept.min(), kept.max()) == (values.min(), values.max())


@given(st.integers(1, 600), st.integers(1, 600), st.integers(1, 200))
def test_shrinking_keeps_the_level_and_respects_the_longest_side(height: int, width: int, side: int) -> None:
    block = -(-max(height, width) // side)
    assume(min(height, width) >= block)  # no camera here has frames as narrow as that
    small = figures.shrink(np.full((height, width), 7, np.uint8), side)
    assert max(small.shape) <= side
    assert (small == 7.0).all()


def test_shrinking_averages_blocks() -> None:
    frame = np.arange(16, dtype=np.uint8).reshape(4, 4)
    np.testing.assert_array_equal(figures.shrink(frame, 2), [[2.5, 4.5], [10.5, 12.5]])
    np.testing.assert_array_equal(figures.shrink(frame, 4), frame)
