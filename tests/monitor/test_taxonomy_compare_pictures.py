"""Curves and maps of a comparison: every number that counts is marked, and rare groups are on every map."""

import re

import numpy as np
import pytest

from models.taxonomy.cut import DEFAULT
from models.taxonomy.ways import NAMES, group
from monitor.taxonomy.compare_pictures import COLOUR_OF, DRAWN, TICKS, curves, legend_of_ways, maps, round_ticks

RNG = np.random.default_rng(0)
BLOBS = RNG.normal(0, 0.1, (90, 4)) + np.repeat(np.eye(4)[:3], 30, axis=0)
WAYS = [group(BLOBS, name, DEFAULT) for name in NAMES]


def test_curves_mark_the_elbow_the_number_that_counts_and_the_least_bic() -> None:
    drawn = curves(WAYS)
    assert drawn.count("<polyline") == 3 + len(NAMES) + 1
    assert len(re.findall(r'<circle [^>]*stroke-width="2.2"', drawn)) == drawn.count("<polyline"), "a ring on each"
    assert all(f"<title>{name}</title>" in drawn for name in NAMES)


def test_a_way_that_tried_nothing_has_no_curve() -> None:
    alone = [group(BLOBS[:1], name, DEFAULT) for name in NAMES]
    assert "<polyline" in curves(WAYS)
    assert curves(alone).count(">none</text>") >= 2


def test_every_way_has_a_colour_of_its_own() -> None:
    assert len(set(COLOUR_OF.values())) == len(NAMES)
    assert all(name in legend_of_ways() for name in NAMES)


def test_maps_show_the_same_events_under_every_title_and_rare_ones_all() -> None:
    count = 3 * DRAWN
    groups = np.where(np.arange(count) % 200 == 7, 1, 0)
    points = RNG.normal(0, 1, (count, 3))
    drawn, share = maps(points, [("one", groups), ("other", np.full(count, -1))])
    assert 0.5 < share < 0.9
    first, second = re.split(r">other</text>", drawn)
    assert second.count("<circle") == first.count("<circle") <= DRAWN
    assert first.count('fill="#e69f00"') == int(groups.sum())
    assert second.count('fill="none"') == second.count("<circle"), "in no group"


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (-0.9, 1.07, [-0.5, 0.0, 0.5, 1.0]),
        (11.7, 14.2, [12.0, 12.5, 13.0, 13.5, 14.0]),
        (3.0, 3.0, [3.0]),
    ],
)
def test_axes_have_few_round_numbers(low: float, high: float, expected: list[float]) -> None:
    found = round_ticks(low, high)
    assert found == pytest.approx(expected)
    assert len(found) <= TICKS + 1
