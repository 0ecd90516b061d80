"""The figures of a report, the lines that show them, and the picture."""

import xml.etree.ElementTree as ET

import msgspec
import pytest
from bench_example import DELAYS, SLOW_CAMERA, TOO_FAST, condition, quantiles, report
from rich.console import Console

from monitor.bench.picture import picture_of
from monitor.bench.report import Report, beside, figures, is_told
from monitor.bench.show import delays_table, notes, rates_table, resources_table, told_setting


def shown(found: Report) -> str:
    console = Console(width=200)
    with console.capture() as captured:
        for table in (rates_table(found), delays_table(found), resources_table(found)):
            console.print(table)
    return captured.get()


def test_every_rate_is_a_ratio_to_the_faster_naive_loop_and_to_the_lowest_ceiling() -> None:
    by_name = {one.name: one for one in figures(report(), condition())}
    held = by_name["held"]
    assert (held.frames_per_s, held.to_naive) == (4000.0, 8.0)
    assert held.of_ceiling == pytest.approx(4000 / (50e9 / 1.5e6))
    assert by_name["naive loop, 32 frames at a time"].to_naive == 1.0
    assert by_name["ceiling: copying each frame once"].frames_per_s == pytest.approx(10e9 / 14_400)
    assert by_name["ceiling: copying each frame once"].of_ceiling is None


def test_a_report_goes_through_json_and_back() -> None:
    assert msgspec.json.decode(msgspec.json.encode(report()), type=Report) == report()


def test_the_tables_hold_every_figure_beside_each_condition() -> None:
    told = shown(report())
    for words in ("held", "scoring alone, float32, batch 32", "naive loop, one frame at a time", "4,000", "beside 1"):
        assert words in told
    for words in ("received to judged, alone", "sent to judged, beside 1 busy process", "9.75", "12.00", "20,000"):
        assert words in told
    for words in ("2.5 s", "365 MiB", "80 MiB", "256 MiB", "2.0 % of a core", "70.0 % of a core"):
        assert words in told


def test_a_quantile_of_too_few_frames_is_not_told() -> None:
    (line,) = [line for line in shown(report(condition())).splitlines() if line.startswith("sent to permit false")]
    assert line.split()[-6:] == ["2,000", "5.00", "few", "few", "24.00", "24"]
    assert not is_told(quantiles(9_000), 0.001)
    assert is_told(quantiles(10_000), 0.001)


def test_what_was_not_measured_is_said_to_be_missing() -> None:
    bare = msgspec.structs.replace(condition(delays=None, held_hz=None), naive=[], trials=[TOO_FAST])
    told = shown(report(bare))
    assert "none" in told
    assert "received to judged" not in told
    assert notes(report(bare))[-1] == "warning: alone: no rate tried was not held: the queue grew by 80 ms"


def test_a_camera_that_was_too_slow_is_named() -> None:
    slow = msgspec.structs.replace(condition(), limited_by="camera", trials=[SLOW_CAMERA])
    assert "held, limited by the camera process" in shown(report(slow))
    assert "the camera process could not send faster" in notes(report(slow))[-1]


def test_black_frames_after_which_no_fall_was_seen_are_told() -> None:
    few = msgspec.structs.replace(DELAYS, sent_to_permit=quantiles(20))
    assert "after 20 of 24 black frames only" in notes(report(condition(delays=few)))[-1]
    none = msgspec.structs.replace(DELAYS, sent_to_permit=None)
    assert "after 0 of 24 black frames only" in notes(report(condition(delays=none)))[-1]


def test_the_setting_says_how_frames_travelled() -> None:
    assert any("1 frame a message up to 2,000" in line for line in told_setting(report()))
    settings = msgspec.structs.replace(report().settings, frames_per_message=16)
    found = msgspec.structs.replace(report(), settings=settings)
    assert any(line.endswith("16 frames a message") for line in told_setting(found))


@pytest.mark.parametrize(
    ("competing", "words"), [(0, "alone"), (1, "beside 1 busy process"), (8, "beside 8 busy processes")]
)
def test_a_condition_in_words(competing: int, words: str) -> None:
    assert beside(competing) == words


@pytest.mark.parametrize(
    "found",
    [report(), report(condition()), report(condition(delays=None, held_hz=None)), report(condition(1, None, 5.0))],
)
def test_the_picture_is_whole_and_every_word_lies_on_it(found: Report) -> None:
    root = ET.fromstring(picture_of(found))
    width, height = float(root.get("width", 0)), float(root.get("height", 0))
    texts = [one for one in root.iter() if one.tag.endswith("text")]
    assert any(one.text and "<Processor> & more" in one.text for one in texts)
    assert {one.text for one in texts} >= {"held", "frames a second", "naive loop, one frame at a time"}
    for one in texts:
        assert 0 <= float(one.get("x", -1)) <= width
        assert 0 <= float(one.get("y", -1)) <= height
