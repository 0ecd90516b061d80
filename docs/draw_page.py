"""Draws the pictures of the operator page, as a running daemon shows it: `framewatch demo --seconds 120` elsewhere, and

    python -m docs.draw_page http://127.0.0.1:8090

It waits until an alarm of a chart is open while the page shows a frame over its limit, and takes the page, the alarm's
sheet, and what stands below. Needs Chromium (apt-get install chromium).
"""

import io
import shutil
import sys
import time
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.sync_api import sync_playwright

OUT: Final = Path(__file__).parent / "pictures"
SIZE: Final = 1480, 1000
WIDTH: Final = 1000
PATIENCE_S: Final = 120.0
SETTLE_MS: Final = 1500

READY: Final = """
document.body.dataset.alarm && document.querySelector('#live .picture.over img')?.naturalWidth > 0
  && [...document.querySelectorAll('.alarm:not(.over)')].some(one => one.textContent.includes(' limit'))
"""
OPEN: Final = "[...document.querySelectorAll('.alarm')].find(one => one.textContent.includes(' limit')).click()"
BELOW: Final = "document.querySelector('#layer-section').scrollIntoView()"
SHEET: Final = "document.querySelector('dialog .picture img')?.naturalWidth > 0"


def until(page: Any, holds: str) -> None:
    """Ask from outside: the page's policy allows no `eval`."""
    ends_s = time.monotonic() + PATIENCE_S
    while not page.evaluate(holds):
        if time.monotonic() > ends_s:
            sys.exit("no alarm of a chart came: is it a daemon with a camera that shows anomalies?")
        page.wait_for_timeout(50)


def while_it_holds(page: Any, holds: str) -> bytes:
    """A picture of the page before and after which it held: alarms of a simulation are over in a moment."""
    while True:
        until(page, holds)
        shot: bytes = page.screenshot()
        if page.evaluate(holds):
            return shot


def keep(shot: bytes, name: str) -> None:
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    image = image.resize((WIDTH, round(image.height * WIDTH / image.width)), Image.Resampling.LANCZOS)
    image.save(OUT / name, optimize=True)
    sys.stdout.write(f"{OUT / name}\n")


def draw(url: str) -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("needs Chromium: apt-get install chromium")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": SIZE[0], "height": SIZE[1]})
        page.goto(url)
        page.wait_for_timeout(20 * SETTLE_MS)  # charts of half a minute, and kinds where there are some
        keep(while_it_holds(page, READY), "page.png")
        page.evaluate(OPEN)
        until(page, SHEET)
        page.wait_for_timeout(SETTLE_MS)
        keep(page.screenshot(), "page_alarm.png")
        page.keyboard.press("Escape")
        page.wait_for_timeout(SETTLE_MS)  # the focus goes back to the alarm's row
        page.evaluate(BELOW)
        page.wait_for_timeout(SETTLE_MS)
        keep(page.screenshot(), "page_below.png")
        browser.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    draw(sys.argv[1])
