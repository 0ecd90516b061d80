"""A real browser for tests: Debian's Chromium, driven by Playwright."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

PATIENCE_S = 30.0
LOOK_MS = 50.0

WATCH = """() => {
  window.arrived = {};
  const look = async row => {
    const id = row.dataset.alarm;
    if (window.arrived[id]) return;
    const one = window.arrived[id] = {row_ms: Date.now(), picture_ms: null, spot: false};
    for (let attempt = 0; attempt < 20 && one.picture_ms === null; attempt++) {
      const answer = await fetch(`api/v1/alarms/${id}/picture`);
      if (answer.ok) {
        const picture = await answer.json(), image = new Image();
        image.src = picture.seen;
        await image.decode();
        one.picture_ms = Date.now();
        one.spot = picture.where !== null;
      } else await new Promise(done => setTimeout(done, 50));
    }
  };
  new MutationObserver(() => document.querySelectorAll('[data-alarm]').forEach(look))
    .observe(document.getElementById('alarm-list'), {childList: true, subtree: true});
}"""
"""Evaluated in the operator page: `window.arrived` tells when each alarm was listed, and when its picture was there."""

DRAWING = "document.querySelector('#live img')?.naturalWidth > 0"
"""In the operator page: pictures are drawn, by a process that takes seconds to start for the first who looks."""

needs_chromium = pytest.mark.skipif(
    CHROMIUM is None and not {"CI", "FRAMEWATCH_CI"} & set(os.environ),
    reason="needs Chromium: apt-get install chromium",
)


@contextmanager
def opened(
    url: str, width: int = 1600, height: int = 1000, prepare: Callable[["Tab"], object] = lambda tab: None
) -> Iterator["Tab"]:
    """A tab, *prepare*d, with the page at *url*; leaving fails where its console told of an error."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # containers run as root
        tab = Tab(browser.new_page(viewport={"width": width, "height": height}))
        prepare(tab)
        tab.page.goto(url)
        try:
            yield tab
        finally:
            browser.close()
        assert tab.errors == []


class Tab:
    """A page, and what its console told of errors."""

    def __init__(self, page) -> None:  # type: ignore[no-untyped-def]  # of playwright, which is imported late
        self.page = page
        self.expected: list[str] = []
        self.seen: list[str] = []
        page.set_default_timeout(1000 * PATIENCE_S)
        page.on("console", lambda message: self.seen.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.seen.append(str(error)))

    @property
    def errors(self) -> list[str]:
        """Those that a test did not expect."""
        return [one for one in self.seen if not any(part in one for part in self.expected)]

    def pass_s(self, seconds: float) -> None:
        """Let the page believe that so long has passed: what it asks for now and then is due."""
        self.page.evaluate(
            "seconds => { const before = Date.now.bind(Date); Date.now = () => before() + 1000 * seconds; }", seconds
        )

    def until(self, condition: str) -> None:
        """Wait until the JavaScript *condition* holds; asked from outside, since the page's policy allows no `eval`."""
        ends_s = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(condition):
            assert time.monotonic() < ends_s, f"never: {condition}"
            self.page.wait_for_timeout(LOOK_MS)
