"""The calibration report's page: complete, in need of nothing from outside, and never fooled by what it shows."""

import html.parser
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from plotly.offline import get_plotlyjs
from report_examples import DATA, EMPTY, HISTORY, SWEEP, TRAINED, chart, example, held_out, joint_chart

from calibration.spread import Plane
from models.sweep import LatentSweep, MeasuredOn
from models.trained import Checkpoint
from monitor.markup import POLICY, strip
from monitor.report import render
from monitor.report.data import JOINT, Example, Footing, ReportData, Square, Table
from monitor.report.drawing import SCATTER_POINTS, SERIES_POINTS
from monitor.report.summary import summary

BLACK = np.zeros((16, 40))
NO_SIZES = LatentSweep((8,), (math.nan,), (math.nan,), 8, given=True, measured_on="held out")
PERFECT = LatentSweep((4, 8), (math.nan, 0.0), (0.0, 0.0), 8, given=True, measured_on="held out")
CORNER = Square(0, 0, 2)
HOSTILE = "</script><script>alert('x')</script> & \"quoted\""


class Page(html.parser.HTMLParser):
    """What a browser would see: texts outside of scripts, and every tag with its attributes."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "br", "link"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in {"script", "style", "title"}:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def page() -> str:
    return render(DATA)


def test_everything_a_person_has_to_know_is_in_the_page(page: str) -> None:
    text = Page(page).text
    for told in (
        "Calibration of laser-1",
        "Camera settings: exposure 40 us · calibrated 2025-03-01 12:00 UTC",
        "Only 2 groups were held out.",
        "held-out group in runs/ frames over joint over t2 over s2 if new",
        "run7 100 0 % 0 % 0 % 0 % 0.10 · 0.40 · 0.95",
        "run8 100 8 % 4 % 0 % 12 % 0.10 · 0.40 · 0.95",
        "Worst run8, frame 41 · t2 5.25 · s2 0.5",
        "The weights of step 100 of 150 were kept",
        "3 sizes were tried",
        "In this comparison the network of 4 leaves 0.5 times what as many principal components do.",
        "chart limit t2 4 s2 4",
        "latent size 32 budget 5 false alarms an hour",
        "runs/run1 train - 6,000 cdcdcdcdcdcd",
    ):
        assert told in text


def test_warnings_come_first_and_the_joint_score_before_all_other_charts(page: str) -> None:
    text = Page(page).text
    order = [text.index(part) for part in (DATA.warnings[0], "The network learned", f"{JOINT} the most", "t2 how")]
    assert order == sorted(order)


def test_each_picture_is_there_once_and_the_script_is_inlined_once(page: str) -> None:
    pictures = re.findall(r'id="(picture-\d+)"', page)
    # Two a chart, one an example; memory, latents, training and sizes.
    assert len(pictures) == len(set(pictures)) == 2 * 3 + 3 + 4
    assert page.count("Plotly.newPlot(") - get_plotlyjs().count("Plotly.newPlot(") == len(pictures)
    scripts = [len(text) for text in re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)]
    assert sum(length > 1_000_000 for length in scripts) == 1


def test_the_page_asks_for_nothing_from_outside_and_forbids_it(page: str) -> None:
    tags = Page(page).tags
    for tag, attributes in tags:
        assert not {"src", "href", "srcset", "data"} & attributes.keys(), tag
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}) in tags
    assert "http" not in POLICY
    assert POLICY.startswith("default-src 'none'")


def test_names_from_outside_are_text_and_never_code() -> None:
    group = replace(held_out(HOSTILE, 0.1), context=HOSTILE, over={HOSTILE: 0.1})
    hostile = replace(
        DATA,
        title=HOSTILE,
        camera_settings=HOSTILE,
        created=HOSTILE,
        settings={HOSTILE: HOSTILE},
        limits=Table((HOSTILE, HOSTILE), ((HOSTILE, HOSTILE),)),
        groups=(group, replace(group, sha256=HOSTILE)),
        starts=((0, HOSTILE), (100, HOSTILE + "2")),
        charts=(chart(HOSTILE),),
        examples=(replace(example(HOSTILE), where=HOSTILE, scores={HOSTILE: 1.0}),),
        warnings=(HOSTILE,),
    )
    page = render(hostile)
    assert "<script>alert" not in page
    assert Page(page).text.count("alert('x')") >= 12


@pytest.mark.parametrize(
    "data",
    [
        EMPTY,
        replace(EMPTY, charts=(chart(count=0),)),
        replace(EMPTY, charts=(replace(chart(), scores=np.full(200, np.nan)),)),
        replace(EMPTY, charts=(replace(chart(), scores=np.zeros(200), limit=0.0, limit_low=0.0, limit_high=0.0),)),
        replace(EMPTY, charts=(replace(chart(), limit=np.inf, limit_low=np.nan, limit_high=np.inf, center=np.nan),)),
        replace(EMPTY, charts=(replace(chart(), scores=np.geomspace(1e-3, 1e9, 200)),)),
        replace(EMPTY, history=(Checkpoint(10, 0.0, math.nan), Checkpoint(20, -1.0, math.nan))),
        replace(EMPTY, history=(Checkpoint(1, math.nan, math.nan),)),
        replace(EMPTY, sweep=NO_SIZES),
        replace(EMPTY, sweep=PERFECT),
        replace(EMPTY, latents=Plane(np.zeros((200, 2)), np.zeros(2), (0.0, 0.0))),
        replace(EMPTY, examples=(Example("worst", "x", BLACK, BLACK, BLACK, BLACK, {}, CORNER, CORNER),)),
        replace(EMPTY, between_sd=math.nan, within_sd=0.0),
    ],
    ids=[
        "empty",
        "no-scores",
        "all-nan",
        "all-equal",
        "no-limit",
        "huge-range",
        "negative-loss",
        "nan-loss",
        "no-sweep",
        "perfect",
        "one-latent",
        "black",
        "no-spread",
    ],
)
def test_data_with_little_in_it_still_makes_a_page(data: ReportData) -> None:
    page = Page(render(data))
    assert page.open == []
    assert "Calibration of laser-1" in page.text
    if not data.warnings:
        assert "Nothing to warn of." in page.text


def test_what_is_thinned_or_left_out_is_told() -> None:
    count = SERIES_POINTS * 3
    scores = np.ones(count)
    scores[5] = np.nan
    plane = Plane(np.random.default_rng(0).normal(size=(count, 2)), np.zeros(2), (0.5, 0.25))
    text = Page(
        render(
            replace(
                EMPTY,
                charts=(replace(chart(count=count), scores=scores),),
                latents=plane,
                starts=DATA.starts,
                examples=(example(side=320),),
            )
        )
    ).text
    assert f"{count - 1:,} scores are drawn as the smallest and largest" in text
    assert "1 scores are not finite and are left out." in text
    assert "too much alike for a density" in text
    assert f"{SCATTER_POINTS:,} of {count:,} frames are drawn" in text
    assert "75 % of their variance" in text
    assert "averaged in blocks to at most 160 pixels a side" in text


def test_a_long_series_of_scores_does_not_make_a_large_file() -> None:
    short, long = (render(replace(EMPTY, charts=(chart(count=count),))) for count in (1000, 300_000))
    assert len(long) - len(short) < 100_000


def test_groups_whose_names_do_not_fit_are_counted() -> None:
    starts = [(2 * number, f"layers/layer_{number:04d}") for number in range(100)]
    groups = [held_out(name, 0.0) for _, name in starts]
    text = Page(render(replace(EMPTY, starts=starts, groups=groups, charts=(chart(),)))).text
    assert re.search(r"\d\d of 100 groups' names fit", text)
    assert all(name in text for _, name in starts)


# The groups


def test_a_share_stands_out_when_it_is_far_over_the_rate_and_more_than_a_frame_or_two() -> None:
    short = replace(held_out("b", 0.08, 0.08), frames=25)  # two frames
    page = render(replace(EMPTY, charts=DATA.charts[:2], groups=(held_out("a", 0.08, 0.02), short)))
    assert re.findall(r'<td class="number over">(.*?)</td>', page) == ["8 %", "4 %"]


def test_contexts_are_shown_where_they_are_stated() -> None:
    plain = replace(EMPTY, groups=(TRAINED, held_out("a", 0.0)))
    assert "context" not in Page(render(plain)).text.partition("Held-out groups")[2].partition("Frames")[0]
    stated = replace(EMPTY, groups=(TRAINED, replace(held_out("a", 0.0), context="contour")))
    assert "a 100 contour" in Page(render(stated)).text


def test_a_strip_shows_quantiles_and_limit_on_one_scale_and_nothing_unknown() -> None:
    drawn = strip(0.0, 0.5, 1.0, 1.0, longest=2.0)
    assert re.findall(r'x1="([\d.]+)"', drawn) == ["0", "0.0", "30.0", "60.0"]
    assert strip(math.nan, 0.5, 1.0, 1.0, 2.0) == ""


# The summary


def test_the_summary_counts_what_is_over_the_limit_and_what_is_known_of_it() -> None:
    scores = np.array([0.2, 0.5, 1.5, np.nan])
    joint = replace(joint_chart(), scores=scores, held=np.ones(4))
    told = summary(replace(DATA, charts=(joint,)))
    assert told[0].startswith("The network learned from 6,000 frames in 1 group. The limits come from 200 frames in 2")
    assert told[1].startswith("1 of 3 held-out frames (33.3 %) are over the joint limit; asked for was 1 %.")
    assert "the 200 held-out ones say as much as 88 independent ones" in told[2]
    assert "between 0.9 and 1.1 times" in told[2]
    assert "6 % of a group's frames" in told[3]
    assert "12 % of runs/run8, the worst" in told[3]
    assert "a ratio of 0.25" in told[4]


def test_an_extrapolated_limit_has_no_interval_anywhere_but_says_why() -> None:
    unknown = {"limit_low": math.nan, "limit_high": math.nan, "extrapolated": True}
    charts = tuple(replace(one, **unknown) for one in DATA.charts)
    footing = replace(DATA.footings[0], low=math.nan, high=math.nan)
    text = Page(render(replace(DATA, charts=charts, footings=(footing,)))).text
    assert "how far it lies from the right one cannot be known from so few frames" in text
    assert "Red is the limit, without an interval: none can be known, dotted the median." in text
    assert "90 %" not in text
    assert "nan" not in text.lower()


def test_each_context_is_as_sure_as_its_own_limits() -> None:
    footings = (
        Footing("context contour", 240, 61.0, math.nan, math.nan),
        Footing("the limits of all contexts together, which hold for skin", 12_400, 930.0, 0.8, 1.3),
    )
    first, second = summary(replace(DATA, footings=footings))[2:4]
    assert first.startswith("Context contour: neighbouring frames resemble each other, and the 240 held-out ones")
    assert "cannot be known" in first
    assert second.startswith("The limits of all contexts together, which hold for skin: neighbouring")
    assert "between 0.8 and 1.3 times" in second


def test_a_single_held_out_group_is_said_to_be_too_few() -> None:
    alone = summary(replace(DATA, groups=(TRAINED, held_out("run 7", 0.01))))
    assert any("single held-out group" in sentence for sentence in alone)
    assert not any("single held-out group" in sentence for sentence in summary(DATA))
    assert not any("As if each" in sentence for sentence in alone)


def test_a_chart_says_how_often_its_limit_is_exceeded() -> None:
    far = replace(chart(), limit_low=math.nan, limit_high=math.nan, extrapolated=True)
    for changed, told in (
        (
            far,
            "are over its limit of 4, which is extrapolated: how far it may be off cannot be known from so few frames.",
        ),
        (chart(), "Chart t2: 0 of 200 held-out frames (0 %) are over its limit of 4 (90 % interval 3.6 to 4.4)."),
        (replace(chart(), limit=np.nan), "Chart t2 has no limit."),
        (
            replace(chart(), held=np.repeat([0.0, 9.0], 100)),
            "Chart t2: 100 of 200 held-out frames (50 %) are over the limit of their context, 0 to 9.",
        ),
    ):
        assert told in Page(render(replace(EMPTY, charts=(changed,)))).text


def test_without_frames_to_stop_by_the_last_weights_are_said_to_be_kept() -> None:
    text = Page(render(replace(EMPTY, history=tuple(one._replace(held=math.nan) for one in HISTORY)))).text
    assert "the last weights, of step 150, were kept" in text


def test_a_size_that_was_given_is_not_said_to_be_chosen_among_others() -> None:
    text = Page(render(replace(EMPTY, sweep=SWEEP._replace(network=(math.nan, 0.2, math.nan), given=True)))).text
    assert "The size was given, 4, and no other was tried" in text


@pytest.mark.parametrize(
    ("measured_on", "told"),
    [
        ("held out", "measured on frames that no network here learned from or was stopped by."),
        ("chose the weights", "measured on the frames that said when to stop"),
        ("last of training", "measured on the last training frames, since there were too few"),
    ],
)
def test_what_a_size_leaves_is_said_to_be_measured_on_the_frames_that_it_was(
    measured_on: MeasuredOn, told: str
) -> None:
    text = Page(render(replace(EMPTY, sweep=SWEEP._replace(measured_on=measured_on)))).text
    assert told in text
    assert "kept from training." not in text


def test_a_network_that_leaves_more_than_components_do_is_answered_for_and_no_other() -> None:
    told = "judged by what it finds"
    assert told not in Page(render(DATA)).text
    assert told in Page(render(replace(EMPTY, sweep=SWEEP._replace(pca=(0.1, 0.1, 0.1))))).text


@pytest.mark.parametrize(
    ("turned", "binning", "told"),
    [
        (False, 1, "neither turned nor binned"),
        (False, 2, "squares of 2 x 2 pixels are averaged to one (binned)."),
        (True, 2, "(binned), and the camera's ground is subtracted, and the pool is turned to one direction"),
    ],
)
def test_it_is_said_what_was_done_to_a_frame_before_the_network_saw_it(turned: bool, binning: int, told: str) -> None:
    assert told in Page(render(replace(DATA, turned=turned, binning=binning))).text


def test_groups_that_trained_the_network_have_no_place_among_those_that_set_the_limits() -> None:
    held = Page(render(replace(EMPTY, groups=DATA.groups))).text.partition("Held-out groups")[2].partition("Frames")[0]
    assert "run8" in held
    assert "run1" not in held
