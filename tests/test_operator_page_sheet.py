"""The sheet of an alarm in a real browser, without a daemon: what is said of each source is true, and of what frame."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from browser import Tab, needs_chromium
from PIL import Image
from test_operator_page_alone import ALARM, page

from calibration.camera import FAULTS
from monitor.alarms.alarm import SERVICE_SOURCES, SOURCES

pytestmark = needs_chromium

PEAK = {"seq": 90920, "score": 12.0, "limit": 8.0, "ratio": 1.5}
FRAMES = {"first_seq": 90913, "last_seq": 90933, "frames_over": 21}
WHAT = {
    "exceedance_rate": "more frames than usual over the warning limit in a layer or window",
    "stop": "so far out that the machine is to stop",
    "blind": "no frame comes, and no keep-alive",
    "stale": "the calibration no longer holds",
    "uncalibrated": "no calibration fits what the camera sends",
    "degraded": "frames are lost, or a part of the monitoring fails",
    "flood": "more alarms than a person can read",
    "new_kind": "a kind of anomaly that was not there before",
}


def png(shade: int) -> str:
    file = io.BytesIO()
    Image.new("L", (8, 8), shade).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def alone(seq: int) -> dict[str, Any]:
    """The Picture of a frame that was not judged."""
    return {
        "seq": seq, "seen": png(90), "drawn": None, "residual": None, "width": 8, "height": 8, "ratio": None,
        "source": None, "scores": {}, "where": None, "residual_most": None, "scale": [0.0, 1.0], "t_ns": 10**18,
        "xy": None, "layer": None,
    }  # fmt: skip


@contextmanager
def sheet(alarm: dict[str, Any], picture: dict[str, Any] | None = None) -> Iterator[Tab]:
    """The sheet of *alarm*, of which there is that *picture*."""
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": []})
        answers.give("alarms/A", {"changes": [], "recording_kept": None})
        if picture is not None:
            answers.give("alarms/A/picture", picture)
        answers.status["alarms"] = [{**ALARM, **alarm}]
        tab.page.click('[data-alarm="A"]')
        tab.page.wait_for_selector("dialog dl dd")
        yield tab


def facts(tab: Tab) -> dict[str, str]:
    found: dict[str, str] = tab.page.evaluate(
        """() => Object.fromEntries([...document.querySelectorAll('dialog .sheet-top dt')].map(
          dt => [dt.textContent, dt.nextElementSibling.textContent]))"""
    )
    return found


@pytest.mark.parametrize("source", FAULTS)
def test_a_camera_fault_is_told_without_chart_and_limit_and_shows_its_frame(source: str) -> None:
    with sheet({"source": source, **FRAMES}, alone(90913)) as tab:
        tab.page.wait_for_selector("dialog .picture img[src^='data:image/png']")
        said = facts(tab)
        assert said["what"] == f"camera fault: {source.replace('_', ' ')}, 21 frames"
        assert said["frames"] == "90913 to 90933, 21 with this fault"
        assert "peak" not in said
        told: str = tab.page.inner_text("dialog .sheet-top")
        assert "limit" not in told
        assert "chart" not in told
        assert "Not judged: " in told
        assert "frame 90913, as the camera sent it" in told
        assert tab.page.locator("dialog .picture").count() == 1, "nothing was drawn of it"
        assert tab.page.locator("dialog .spot:visible").count() == 0


def test_a_fault_of_one_frame_is_told_in_the_singular() -> None:
    with sheet({"source": "dark", "first_seq": 7, "last_seq": 7, "frames_over": 1}, alone(7)) as tab:
        said = facts(tab)
        assert (said["what"], said["frames"]) == ("camera fault: dark, 1 frame", "7, with this fault")


def test_where_another_frame_is_shown_than_the_one_meant_the_sheet_says_so() -> None:
    with sheet({"source": "frozen", **FRAMES}, alone(90925)) as tab:
        tab.page.wait_for_selector("dialog p:has-text('This is frame 90925: the first, frame 90913, is not to be had')")


@pytest.mark.parametrize("source", sorted(set(SOURCES) - set(FAULTS)))
def test_what_is_said_of_every_source_is_true_of_it(source: str) -> None:
    about_frames = source not in SERVICE_SOURCES
    with sheet({"source": source, **FRAMES, "peak": PEAK if about_frames else None}) as tab:
        said, told = facts(tab), tab.page.inner_text("dialog .sheet-top")
        assert said["what"] == WHAT.get(source, f"chart {source} over its limit")
        assert ("frames" in said) == about_frames
        assert ("It is about no frame." in told) == (not about_frames)
        if source == "exceedance_rate":
            assert said["rate"] == "12 of 8, 1.5 \u00d7 limit; the worst frame is 90920"
            assert said["frames"] == "90913 to 90933, 21 over the warning limit"
        elif source == "stop":
            assert said["frames"] == "90913 to 90933, 21 over the stop limit"
        elif about_frames:
            assert said["peak"] == "12 of 8, 1.5 \u00d7 limit, frame 90920"
            assert said["frames"] == "90913 to 90933, 21 over the limit"


def test_why_the_daemon_says_that_there_is_an_alarm_goes_before_what_the_page_says_of_its_source() -> None:
    with sheet({"source": "degraded", "why": "4 frames dropped"}) as tab:
        assert facts(tab)["what"] == "4 frames dropped"


def test_a_live_frame_without_a_score_claims_none() -> None:
    with page() as (tab, answers):
        answers.news = [("frame", alone(12))]
        tab.page.wait_for_selector("#live .picture img[src^='data:image/png']")
        assert tab.page.inner_text("#live-facts").endswith(": not judged")


def test_who_closed_a_sheet_and_scrolled_on_is_not_taken_back_by_the_next_alarm() -> None:
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": []})
        answers.status["alarms"] = [ALARM]
        tab.page.click('[data-alarm="A"]')
        tab.page.wait_for_selector("dialog[open]")
        tab.page.keyboard.press("Escape")
        tab.until("document.activeElement.dataset.alarm === 'A'")
        tab.page.evaluate("document.body.style.minHeight = '400vh'; scrollTo(0, 2500)")
        answers.status["alarms"] = [ALARM, {**ALARM, "id": "B"}]
        tab.page.wait_for_selector('[data-alarm="B"]', state="attached")
        assert tab.page.evaluate("document.activeElement.dataset.alarm") == "A"
        assert tab.page.evaluate("scrollY") == 2500
