"""The pictures of rate and delay against frame size and batch size, from reports made by hand."""

import itertools
import xml.etree.ElementTree as ET

import msgspec
import pytest
from bench_example import condition, report

from monitor.bench.alone import ScoringRow
from monitor.bench.report import Report
from tests.benchmarks.curves import Curve, Panel, draw
from tests.benchmarks.frame_sizes import AtBatch, AtSize, Measured, pictures, rates


def of_side(side_px: int, *, held_hz: float | None = 4000.0) -> Report:
    found = report(condition(held_hz=held_hz))
    frames = msgspec.structs.replace(found.frames, height=side_px, width=side_px, frame_bytes=side_px**2)
    return msgspec.structs.replace(found, frames=frames)


MEASURED = Measured(
    sizes=[AtSize(32, of_side(32)), AtSize(576, of_side(576, held_hz=None))],
    scoring=[ScoringRow("float32", batch, 1000.0 * batch, 1000.0) for batch in (1, 32, 128)],
    batches=[AtBatch(32, of_side(120))],
)


def test_a_copy_of_a_larger_frame_has_a_lower_ceiling() -> None:
    copies, products, *_ = rates([(float(one.side_px), one.report) for one in MEASURED.sizes])
    assert copies.is_bound
    assert products.is_bound
    assert [round(value) for _, value in copies.points if value] == [round(10e9 / 32**2), round(10e9 / 576**2)]


@pytest.mark.parametrize("name", ["rate-by-frame-size.svg", "rate-by-batch-size.svg"])
def test_each_picture_names_its_curves_and_its_ceilings(name: str) -> None:
    root = ET.fromstring(pictures(MEASURED)[name])
    words = {one.text for one in root.iter() if one.tag.endswith("text")}
    assert words >= {"held by the daemon", "scoring alone", "naive loop", "median", "99 %", "longest"}
    assert words >= {"ceiling: one copy of each frame", "ceiling: float32 products", "frames a second"}


def test_a_measurement_goes_through_json_and_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(MEASURED), type=Measured) == MEASURED


def test_names_of_curves_that_end_together_do_not_lie_on_each_other() -> None:
    curves = [Curve(name, [(1.0, 5.0), (2.0, 5.0)]) for name in ("one", "two", "three")]
    root = ET.fromstring(draw("along", [Panel("panel", curves)]))
    places = sorted(
        float(one.get("y", 0))
        for one in root.iter()
        if one.tag.endswith("text") and one.text in ("one", "two", "three")
    )
    assert all(after - before >= 12 for before, after in itertools.pairwise(places))
