"""The operator page in a real browser, at a daemon that runs: what it shows, and what is done with it."""

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import LOOK_MS, Tab, needs_chromium, opened
from daemon import Camera, Daemon, Stream
from frames import normal, with_spot

from monitor import cli
from monitor.bundle import Bundle
from monitor.web import token
from monitor.wire.native import PLACE

pytestmark = needs_chromium

RATE_HZ = 400.0
SECTIONS: dict[str, Any] = {
    "events": {"k": 4, "n": 5, "clear_frames": 60},
    "alarms": {"flood": None},
    "http": {"token_file": "http.token"},
    "taxonomy": {"least_events": 2, "every_events": None, "period_s": None},
}
SPOT = with_spot(normal(12, 77), row=6, column=25)


@pytest.fixture
def running(tmp_path: Path, small_bundle: Bundle) -> Iterator[tuple[Daemon, Stream]]:
    """A daemon, and a camera that shows normal frames of a layer until a test gives it others."""
    token.write(tmp_path / "http.token")
    with Daemon(tmp_path, small_bundle.path, **SECTIONS) as daemon:
        daemon.wait_until_listening()
        cycle = np.concatenate([normal(100, seed) for seed in range(4)])
        with Camera(daemon.endpoint) as camera, Stream(camera, cycle, RATE_HZ, per_message=20) as stream:
            daemon.wait_for_state("ok")
            yield daemon, stream


def secret(daemon: Daemon) -> str:
    return token.text_of(daemon.folder / "http.token")


def sign_in(tab: Tab, daemon: Daemon, given: str | None = None) -> None:
    tab.page.fill("#by", "ann")
    tab.page.fill("#token", secret(daemon) if given is None else given)


def journal(daemon: Daemon, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert cli.main(["alarms", "list", "--json", "--config", str(daemon.config)]) == 0
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return found


def status_of(daemon: Daemon) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(daemon.get("/api/v1/status")[1])
    return found


def tell(tab: Tab, status: Callable[[], dict[str, Any]]) -> None:
    """From the next connection on have the page hear another *status*, twenty times a second."""

    def answer(route: Any) -> None:
        body = f"retry: 50\nevent: status\ndata: {json.dumps(status())}\n\n"
        route.fulfill(content_type="text/event-stream", body=body)

    tab.page.route("**/api/v1/live", answer)


def raise_alarm(tab: Tab, stream: Stream) -> str:
    """Show frames with a spot; the id of the first alarm of the charts that the page then lists."""
    stream.send(SPOT)
    row = tab.page.locator(".alarm.new").first
    row.wait_for()
    found: str = row.get_attribute("data-alarm")
    return found


def test_an_anomaly_is_on_the_page_with_its_frame_and_the_marked_spot(running: tuple[Daemon, Stream]) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        tab.until("document.body.dataset.state === 'ok'")
        alarm = raise_alarm(tab, stream)
        tab.page.click(f'[data-alarm="{alarm}"]')
        tab.page.wait_for_selector("dialog .picture img[src^='data:image/png']")
        tab.until("document.querySelector('dialog .picture img').naturalWidth > 0")
        spots = tab.page.locator("dialog .picture .spot:visible")
        assert spots.count() == 3
        style: str = spots.last.get_attribute("style")
        left, top = (float(part.split(":")[1].strip(" %;")) for part in style.strip(";").split(";"))
        assert (left / 100 * 32, top / 100 * 32) == pytest.approx((25.5, 6.5), abs=3)


def test_acknowledging_and_shelving_change_the_journal_and_a_wrong_token_changes_nothing(
    running: tuple[Daemon, Stream], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        tab.expected = ["401"]
        alarm = raise_alarm(tab, stream)
        tab.page.click(f'[data-alarm="{alarm}"]')
        sign_in(tab, daemon, "not the token of this daemon")
        tab.page.click("text=acknowledge >> nth=-1")
        tab.page.wait_for_selector(".said.bad:has-text('token is missing or wrong')")
        assert not next(one for one in journal(daemon, capsys) if one["id"] == alarm)["acked"]
        sign_in(tab, daemon)
        tab.page.locator("dialog select").first.select_option("true")
        tab.page.click("dialog button.main")
        tab.page.wait_for_selector(".said.good")
        found = next(one for one in journal(daemon, capsys) if one["id"] == alarm)
        assert (found["acked"], found["verdict"]) == (True, "true")
        tab.page.click("dialog button:has-text('shelve')")
        tab.page.wait_for_selector(".said.good:has-text('shelve')")
        source = found["source"]
        assert [one["source"] for one in json.loads(daemon.get("/api/v1/sources")[1])["modes"]] == [source]
        tab.page.keyboard.press("Escape")
        tab.until(f"!document.querySelector('[data-alarm=\"{alarm}\"].new')")


def test_the_recording_of_an_alarm_is_taken_from_its_sheet(running: tuple[Daemon, Stream]) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        alarm = raise_alarm(tab, stream)
        daemon.wait_until(lambda: any(one.id == alarm and one.recording for one in daemon.alarms), "a recording")
        tab.page.wait_for_selector(f'[data-alarm="{alarm}"] .more:has-text("recorded")')
        tab.page.click(f'[data-alarm="{alarm}"]')
        with tab.page.expect_download() as download:
            tab.page.click("dialog a[download]")
        assert Path(download.value.path()).read_bytes().startswith(b"\x89HDF")
        tab.page.keyboard.press("Escape")
        for one in (daemon.folder / "journal.db.recordings").glob("*.h5"):
            one.unlink()
        tab.page.click(f'[data-alarm="{alarm}"]')
        tab.page.wait_for_selector("dialog dd:has-text('removed since')")
        assert tab.page.locator("dialog a[download]").count() == 0


def test_the_sheet_tells_what_was_done_and_what_is_shelved_can_be_told_of_again(
    running: tuple[Daemon, Stream],
) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        alarm = raise_alarm(tab, stream)
        tab.page.click(f'[data-alarm="{alarm}"]')
        sign_in(tab, daemon)
        tab.page.click("dialog button.main")
        tab.page.wait_for_selector("dialog td:has-text('acknowledged')")
        tab.page.click("dialog button:has-text('shelve')")
        tab.page.wait_for_selector(".said.good:has-text('shelve')")
        tab.page.keyboard.press("Escape")
        tab.until(f"document.activeElement.dataset.alarm === '{alarm}'")
        tab.page.click(".mode:has-text('shelved until')")
        tab.page.click("dialog button:has-text('again')")
        tab.page.wait_for_selector(".said.good:has-text('again')")
        tab.page.keyboard.press("Escape")
        tab.until("!document.querySelector('.mode')")
        assert json.loads(daemon.get("/api/v1/sources")[1])["modes"] == []


def test_the_keyboard_is_enough(running: tuple[Daemon, Stream], capsys: pytest.CaptureFixture[str]) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        alarm = raise_alarm(tab, stream)
        keys = tab.page.keyboard
        keys.press("?")
        tab.page.wait_for_selector("#help[open]")
        keys.press("Escape")
        keys.press("j")
        assert tab.page.evaluate("document.activeElement.dataset.alarm") is not None
        keys.press("A")
        tab.page.wait_for_selector("#sheet[open]")
        sign_in(tab, daemon)
        keys.press("Enter")
        tab.page.wait_for_selector(".said.good")
        assert next(one for one in journal(daemon, capsys) if one["id"] == alarm)["acked"]


def test_a_kind_that_was_named_on_the_page_keeps_its_name_over_a_restart(
    running: tuple[Daemon, Stream], capsys: pytest.CaptureFixture[str]
) -> None:
    daemon, stream = running
    for _ in range(4):
        before = len(daemon.raised())
        stream.send(SPOT)
        daemon.wait_until(lambda before=before: len(daemon.raised()) > before, "an alarm")  # type: ignore[misc]
        rounds = stream.rounds
        daemon.wait_until(lambda rounds=rounds: stream.rounds > rounds, "its end")  # type: ignore[misc]
    assert cli.main(["taxonomy", "run", "--by", "ann", "--config", str(daemon.config)]) == 0
    with opened(daemon.url) as tab:
        tab.page.click(".kind button:has-text('name it')")
        sign_in(tab, daemon)
        tab.page.fill("#kind-name", "spot above")
        tab.page.click("dialog button:has-text('name kind')")
        tab.page.wait_for_selector(".said.good")
        tab.expected = ["ERR_CONNECTION", "ERR_INCOMPLETE", "ERR_EMPTY"]
        killed = daemon.child("side")
        daemon.kill("side")
        daemon.wait_until(lambda: daemon.children("side") not in ([], [killed]), "another side process")
        daemon.wait_until(daemon.answers, "page")
        tab.page.reload()
        tab.page.wait_for_selector(".kind b:has-text('spot above')")
        assert daemon.stop() == 0
        daemon.start()
        daemon.wait_until(daemon.answers, "page")
        tab.page.reload()
        tab.page.wait_for_selector(".kind b:has-text('spot above')")


def test_charts_and_frames_move_and_close_while_the_camera_runs(running: tuple[Daemon, Stream]) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        tab.page.wait_for_selector("#live img[src^='data:image/png']")
        tab.page.wait_for_selector(".chart canvas")
        assert "accounted for" in tab.page.inner_text("#balance")
        assert "not accounted" not in tab.page.inner_text("#balance")
        first = tab.page.get_attribute("#live img", "src")
        tab.until(f"document.querySelector('#live img').src !== {json.dumps(first)}")
        tab.page.click("#spans button:has-text('10 min')")
        tab.until("document.querySelector('#spans [aria-pressed=true]').textContent === '10 min'")
        stream.send(SPOT)
        tab.page.wait_for_selector(".chart .label:has-text('over in this time')")


def test_an_alarm_stands_above_the_last_ten_seconds_while_they_are_shown(running: tuple[Daemon, Stream]) -> None:
    daemon, stream = running
    with opened(daemon.url) as tab:
        tab.page.click("#spans button:has-text('10 s')")
        tab.page.wait_for_selector(".chart canvas")
        with tab.page.expect_response(lambda one: "span_s=10&" in one.url and one.json()["events"], timeout=10_000):
            stream.send(SPOT)


def test_a_page_that_meets_another_version_of_the_daemon_is_loaded_anew_once_nobody_types(
    running: tuple[Daemon, Stream],
) -> None:
    daemon, _ = running
    versions = itertools.chain(["1.0", "1.1"], itertools.repeat("1.2"))
    loads: list[object] = []
    with opened(daemon.url) as tab:
        tab.page.on("load", lambda page: loads.append(page))
        tell(tab, lambda: {**status_of(daemon), "version": next(versions)})
        tab.page.reload()
        tab.page.keyboard.press("?")
        tab.page.wait_for_selector("#help[open]")
        tab.until("document.querySelector('#version').textContent.startsWith('framewatch 1.2')")
        assert len(loads) == 1, "by hand"
        tab.page.keyboard.press("Escape")
        while len(loads) == 1:
            tab.page.wait_for_timeout(LOOK_MS)
        tab.until("document.querySelector('#version').textContent.startsWith('framewatch 1.2')")
        with tab.page.expect_response("**/api/v1/live"):
            pass
        assert len(loads) == 2, "and does so once"


def test_a_picture_that_no_other_follows_is_said_to_be_old(tmp_path: Path, small_bundle: Bundle) -> None:
    with Daemon(tmp_path, small_bundle.path) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(60, 1))
        with opened(daemon.url) as tab:
            tab.page.wait_for_selector("#live img[src^='data:image/png']")
            tab.page.wait_for_selector("#live.old")
            assert "no other frame since" in tab.page.inner_text("#live-what")


def test_a_long_name_of_a_job_leaves_the_page_as_wide_as_a_phone(tmp_path: Path, small_bundle: Bundle) -> None:
    places = np.ones(60, PLACE)
    places["x"], places["y"] = np.linspace(0, 10, 60), 5.0
    with Daemon(tmp_path, small_bundle.path) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        camera.send(normal(60, 1), per_message=60, job="<b>part</b>" + "W" * 100, layer=1, places=places)
        daemon.wait_until_judged(60)
        with opened(daemon.url, 390, 844) as tab:
            tab.page.wait_for_selector("#layer-name:has-text('<b>part</b>')")
            tab.page.wait_for_selector(".chart canvas")
            assert tab.page.evaluate("document.documentElement.scrollWidth") == 390


def test_a_daemon_without_a_bundle_has_a_page_too(tmp_path: Path) -> None:
    with Daemon(tmp_path, None) as daemon:
        daemon.wait_until(daemon.answers, "page")
        with opened(daemon.url) as tab:
            tab.expected = ["404"]  # no charts, no layers, no kinds
            tab.until("['uncalibrated', 'blind'].includes(document.body.dataset.state)")
            assert tab.page.inner_text("#permit b") == "withheld"
