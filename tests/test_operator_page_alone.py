"""The operator page in a real browser without a daemon: what it makes of answers, of halves of them, and of none."""

import base64
import io
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

import pytest
from browser import LOOK_MS, Tab, needs_chromium, opened
from PIL import Image

from monitor.web.page import TYPES

pytestmark = needs_chromium

URL = "http://page.test/"
STEP_NS = 10**8
BINS = 600
LEDGER = {
    "announced": 90,
    "lost_upstream": 0,
    "received": 90,
    "judged": 90,
    "unjudged": {},
    "dropped": {},
    "in_flight": 0,
}
STATUS: dict[str, Any] = {
    "camera": "melt", "version": "1.0", "state": "ok", "why": "", "side_why": "", "permit": True, "permit_why": "",
    "permit_mode": "advisory", "context": "", "coverage": 1.0, "frame_age_p99_ms": 2.0,
    "ledger": {**LEDGER, "rejected": {}}, "alarms": [], "bundle": "ab" * 32,
    "calibrated_t_ns": None, "alarm_changes": 0, "promise": None, "drift": None, "layers": None,
}  # fmt: skip
ALARM: dict[str, Any] = {
    "id": "A", "rev": 1, "source": "s2", "priority": "high", "state": "active", "acked": False, "shelved": False,
    "suppressed": False, "out_of_service": False, "latched": False, "verdict": None, "recording": None, "kind": None,
    "why": "", "peak": None, "frames_over": 3, "first_seq": 1, "last_seq": 3, "layer": None, "job": "", "xy": None,
    "context": "", "raised_t_ns": 10**18,
}  # fmt: skip


class Answers:
    """What the page is answered, by the path behind `/api/v1/`; what has no answer is answered with 404."""

    def __init__(self, tab: Tab) -> None:
        self.told: dict[str, Callable[[], str]] = {}
        self.status = dict(STATUS)
        self.news: list[tuple[str, Any]] = []  # more events for the next connection
        self.speaks = True
        tab.expected = ["404"]
        tab.page.route("**/*", self._answer)

    def give(self, path: str, answer: Any) -> None:
        self.told[path] = lambda: json.dumps(answer)

    def _answer(self, route: Any) -> None:
        path = route.request.url.removeprefix(URL).partition("?")[0]
        if path.startswith("api/v1/"):
            self._answer_data(route, path.removeprefix("api/v1/"))
        else:
            name = path.removeprefix("page/") or "index.html"
            text = files("monitor.web").joinpath("operator_page", name).read_text(encoding="utf-8")
            route.fulfill(body=text, content_type=TYPES["." + name.rpartition(".")[2]])

    def _answer_data(self, route: Any, path: str) -> None:
        if path == "live" and not self.speaks:
            route.abort()
        elif path == "live":
            events = [("status", {**self.status, "t_ns": time.time_ns()}), *self.news]
            self.news = []
            told = "".join(f"event: {name}\ndata: {json.dumps(what)}\n\n" for name, what in events)
            route.fulfill(content_type="text/event-stream", body=f"retry: 50\n{told}")
        elif path in self.told:
            route.fulfill(content_type="application/json", body=self.told[path]())
        else:
            route.fulfill(status=404, content_type="application/json", body='{"error": "there is none"}')


@contextmanager
def page(width: int = 1600, height: int = 1000) -> Iterator[tuple[Tab, Answers]]:
    made: list[Answers] = []
    with opened(URL, width, height, prepare=lambda tab: made.append(Answers(tab))) as tab:
        yield tab, made[0]


def history(high: dict[int, float], end_t_ns: int) -> dict[str, Any]:
    """A minute of one frame in each bin of one chart with the limit 2, at half of it but for the scores in *high*."""
    scores = [high.get(number, 1.0) for number in range(BINS)]
    chart = {
        "low": scores,
        "high": scores,
        "ratio": [score / 2 for score in scores],
        "over": [int(score > 2) for score in scores],
        "limit": [2.0] * BINS,
    }
    edges = [end_t_ns - (BINS - number) * STEP_NS for number in range(BINS + 1)]
    return {
        "first_t_ns": edges[0],
        "last_t_ns": edges[-1],
        "edges_t_ns": edges,
        "judged": [1] * BINS,
        "charts": {"s2": chart},
        "events": [],
    }


def coloured(tab: Tab, left: float, right: float) -> tuple[int, int]:
    """Of the part of the chart between two shares of its width: the height of the highest red column, and of any.

    The lines of the scale are grey, and count as nothing.
    """
    found: list[int] = tab.page.evaluate(
        """([left, right]) => {
          const canvas = document.querySelector('.chart canvas'), pen = canvas.getContext('2d');
          let red = 0, any = 0;
          for (let x = Math.floor(left * canvas.width); x < right * canvas.width; x++) {
            const column = pen.getImageData(x, 0, 1, canvas.height).data;
            let reds = 0, all = 0;
            for (let i = 0; i < column.length; i += 4) {
              const [r, g, b, a] = column.slice(i, i + 4);
              if (a > 200 && r - b > 60) reds++;
              if (a > 200 && Math.abs(r - b) > 30) all++;
            }
            red = Math.max(red, reds);
            any = Math.max(any, all);
          }
          return [red, any];
        }""",
        [left, right],
    )
    return found[0], found[1]


def test_a_frame_far_over_its_limit_alone_in_its_stretch_is_a_line_from_the_limit_up() -> None:
    with page() as (tab, answers):
        answers.give("history", history({300: 100.0}, time.time_ns()))
        tab.page.wait_for_selector(".chart canvas")
        tab.until("document.querySelector('.chart .label').textContent.includes('1 frame over')")
        tall: int = tab.page.evaluate("document.querySelector('.chart canvas').height")
        assert coloured(tab, 0.4, 0.6)[0] > 0.35 * tall
        assert coloured(tab, 0.0, 0.4)[0] == 0


def test_a_frame_over_the_limit_of_its_context_stands_over_the_line_where_another_has_a_higher_limit() -> None:
    told = history({}, time.time_ns())
    chart = told["charts"]["s2"]
    chart["high"][300], chart["limit"][300], chart["ratio"][300], chart["over"][300] = 25.0, 50.0, 40.0, 1
    with page() as (tab, answers):
        answers.give("history", told)
        tab.page.wait_for_selector(".chart canvas")
        tab.until("document.querySelector('.chart .label').textContent.includes('1 frame over')")
        tall: int = tab.page.evaluate("document.querySelector('.chart canvas').height")
        assert coloured(tab, 0.4, 0.6)[0] > 0.35 * tall
        tab.page.hover(".chart canvas")
        tab.until("document.querySelector('.chart .label').textContent.includes('limits differ, 40')")


def test_time_of_which_nothing_was_heard_stays_empty() -> None:
    now_t_ns = time.time_ns()
    with page() as (tab, answers):
        answers.give("history", history({}, now_t_ns))
        tab.page.wait_for_selector(".chart canvas")
        chart = {"low": [1.5], "high": [1.5], "ratio": [0.75], "over": [0], "limit": 2.0}
        late = {"step_ms": 100, "first_bin": 1, "t_ns": now_t_ns + 30 * 10**9, "judged": [1], "charts": {"s2": chart}}
        answers.told["history"] = lambda: "{"  # nor is it to be had afterwards
        answers.news = [("scores", late)]
        tab.until("document.querySelector('.chart .label').textContent.includes('1.5 of 2')")
        assert coloured(tab, 0.1, 0.45)[1] > 0, "what was known before"
        assert coloured(tab, 0.55, 0.95)[1] == 0


def test_half_an_answer_is_none_and_the_next_one_counts() -> None:
    now_t_ns = time.time_ns()
    with page() as (tab, answers):
        answers.told["history"] = lambda: json.dumps(history({}, now_t_ns))[:200]
        news = {"step_ms": 100, "first_bin": 1, "t_ns": now_t_ns, "judged": [1], "charts": {}}
        answers.news = [("scores", news)] * 3
        tab.until("document.querySelector('#charts p')")
        answers.give("history", history({}, now_t_ns))
        tab.page.wait_for_selector(".chart canvas")
        for path in ("alarms", "sources"):
            answers.give(path, {"alarms": [ALARM], "modes": []})
        answers.status["alarms"] = [ALARM]
        tab.page.wait_for_selector('[data-alarm="A"]')
        answers.told["alarms"] = lambda: "{"
        answers.status["alarms"] = [{**ALARM, "rev": 2, "frames_over": 4}]
        tab.page.wait_for_selector(".alarm .more:has-text('4 frames over')")


def test_without_a_connection_no_state_and_no_permit_is_claimed() -> None:
    with page() as (tab, answers):
        answers.status |= {"state": "ok", "side_why": "the disk refuses"}
        tab.expected += ["ERR_FAILED"]
        tab.until("document.querySelector('#word').textContent === 'ok'")
        answers.speaks = False
        tab.until("document.querySelector('#word').textContent === 'no connection'")
        assert tab.page.inner_text("#permit b") == "unknown"
        assert tab.page.inner_text("#open") == tab.page.inner_text("#why") == ""
        assert tab.page.evaluate("document.title") == "connection lost"
        tab.page.keyboard.press("?")
        shown = "getComputedStyle(document.querySelector('#help'), '::before').content"
        assert "Connection lost" in tab.page.evaluate(shown)
        answers.speaks = True
        tab.until("document.querySelector('#word').textContent === 'ok'")
        assert tab.page.inner_text("#permit b") == "given"


@pytest.mark.parametrize(("width", "height"), [(1600, 1000), (768, 1024), (390, 844)])
def test_who_has_scrolled_down_still_sees_state_permit_and_that_the_connection_is_lost(width: int, height: int) -> None:
    def bar() -> str:
        found: str = tab.page.inner_text("#bar")
        return " ".join(found.split())

    with page(width, height) as (tab, answers):
        tab.expected += ["ERR_FAILED"]
        answers.status |= {"state": "blind", "permit": False}
        tab.until("document.querySelector('#word').textContent === 'blind'")
        assert tab.page.is_hidden("#bar")
        tab.page.evaluate("document.body.style.minHeight = '300vh'; scrollTo(0, 9999)")
        tab.page.wait_for_selector("#bar")
        assert bar() == "✕ blind permit withheld"
        assert tab.page.evaluate("document.querySelector('#bar').getBoundingClientRect().top") == 0
        assert tab.page.evaluate("document.documentElement.scrollWidth") == width
        answers.speaks = False
        tab.until("document.querySelector('#bar b').textContent === '? no connection'")
        assert "What you see is old." in bar()
        tab.page.evaluate("scrollTo(0, 0)")
        tab.page.wait_for_selector("#bar", state="hidden")


def test_an_alarm_that_comes_while_the_journal_is_asked_is_listed_at_once_and_stays() -> None:
    held: list[Any] = []
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        tab.page.route("**/api/v1/alarms?*", lambda route: held.append(route))
        answers.status["alarms"] = [ALARM]
        tab.page.wait_for_selector('[data-alarm="A"]')
        answers.status["alarms"] = [ALARM, {**ALARM, "id": "B"}]
        tab.page.wait_for_selector('[data-alarm="B"]')
        assert len(held) == 2, "the answers are still awaited"
        for route in held[:2]:
            route.fulfill(json={"alarms": [ALARM]})  # as it was when it was asked
        while len(held) < 4:
            tab.page.wait_for_timeout(LOOK_MS)
        assert tab.page.locator(".alarm").count() == 2


def test_an_alarm_that_came_and_went_between_two_looks_is_listed_at_once() -> None:
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": []})
        tab.page.wait_for_selector("#alarm-list .none")
        answers.give("alarms", {"alarms": [{**ALARM, "state": "cleared"}]})
        answers.status["alarm_changes"] = 2
        tab.page.wait_for_selector('.alarm.over[data-alarm="A"]', timeout=5000)


def test_an_alarm_that_is_over_is_not_listed_as_open_while_the_journal_is_asked() -> None:
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": [ALARM]})
        answers.status["alarms"] = [ALARM]
        tab.page.wait_for_selector('[data-alarm="A"]')
        answers.told["alarms"] = lambda: "{"
        answers.status["alarms"] = []
        tab.until("!document.querySelector('.alarm')")
        answers.give("alarms", {"alarms": [{**ALARM, "state": "cleared", "rev": 2}]})
        tab.page.wait_for_selector('.alarm.over[data-alarm="A"]')


def test_what_is_over_and_was_not_acknowledged_is_counted_at_the_top() -> None:
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        over = [{**ALARM, "id": name, "state": "cleared"} for name in "ABC"]
        answers.give("alarms", {"alarms": [*over, {**over[0], "id": "D", "suppressed": True}]})
        tab.until("document.querySelector('#open').textContent === '3 over, not acknowledged'")
        assert tab.page.inner_text("#word") == "ok"


def test_what_is_shelved_or_suppressed_is_counted_and_not_what_the_large_word_speaks_of() -> None:
    loud, hushed = ALARM, {**ALARM, "id": "B", "priority": "critical", "suppressed": True}
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": []})
        answers.status["alarms"] = [loud, hushed]
        tab.until("document.querySelector('#word').textContent === 'alarm'")
        assert (
            tab.page.inner_text("#open") == "1 alarm open, worst: high; 1 more shelved or suppressed; the state is ok"
        )
        tab.page.wait_for_selector('[data-alarm="B"]')
        assert tab.page.locator('.alarm.new[data-alarm="A"]').count() == 1
        assert tab.page.locator('.alarm.new[data-alarm="B"]').count() == 0
        answers.status["state"] = "idle"
        tab.until("document.querySelector('#open').textContent.endsWith('the state is idle')")
        assert tab.page.inner_text("#word") == "alarm"
        answers.status |= {"state": "ok", "alarms": [hushed]}
        tab.until("document.querySelector('#word').textContent === 'ok'")
        assert tab.page.inner_text("#open") == "1 alarm shelved or suppressed"


def test_the_frame_of_an_alarm_that_is_asked_for_too_soon_is_asked_for_again() -> None:
    file = io.BytesIO()
    Image.new("L", (1, 1)).save(file, "png")
    dot = "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
    picture = {
        "seq": 2,
        "seen": dot,
        "drawn": dot,
        "residual": dot,
        "width": 1,
        "height": 1,
        "ratio": 2.0,
        "where": [0, 0],
        "residual_most": 3.0,
    }
    peak = {"seq": 2, "score": 4.0, "limit": 2.0, "ratio": 2.0}
    with page() as (tab, answers):
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": []})
        answers.status["alarms"] = [{**ALARM, "peak": peak}]
        tab.page.click('[data-alarm="A"]')
        tab.page.wait_for_selector("dialog p:has-text('there is none')")
        answers.give("alarms/A/picture", picture)
        tab.page.wait_for_selector("dialog .picture img[src^='data:image/png']")
        assert tab.page.locator("dialog p:has-text('there is none')").count() == 0


def test_a_sheet_begins_where_something_is_to_be_typed_and_never_at_a_file() -> None:
    with page() as (tab, answers):
        alarm = {**ALARM, "recording": "/x/one.h5"}
        answers.give("sources", {"modes": []})
        answers.give("alarms", {"alarms": [alarm]})
        answers.give("alarms/A", {"changes": [], "recording_kept": True})
        answers.status["alarms"] = [alarm]
        tab.page.click('[data-alarm="A"]')
        tab.page.wait_for_selector("dialog a[download]")
        assert tab.page.evaluate("document.activeElement.id") == "by"
        tab.page.keyboard.type("ann")
        tab.page.keyboard.press("Tab")
        assert tab.page.evaluate("document.activeElement.id") == "token"


def test_the_promise_says_when_its_limits_were_set() -> None:
    rate = {"events": 2, "per_hour": 0.5, "low": 0.1, "high": None}
    overall = {
        "job": None,
        "hours": 4.0,
        "true": 1,
        "false": 2,
        "unknown": 0,
        "fewest": rate,
        "most": rate,
        "judgement": "kept",
    }
    promise = {
        "per_hour": 1.0, "conservative": False, "calibration_hours": 3.0, "extrapolated_by": 1.0,
        "judged_rate_hz": None, "rate_apart": False, "rate_hz": 1000.0, "overall": overall, "stops": None, "blocks": 3,
    }  # fmt: skip
    with page() as (tab, answers):
        answers.status |= {"promise": promise, "calibrated_t_ns": time.time_ns() - 3 * 86_400 * 10**9}
        tab.page.wait_for_selector("#promise dd:has-text('3 days ago')")
        tab.page.wait_for_selector("#promise dd:has-text('0.5 (0.1 to ?)')")
