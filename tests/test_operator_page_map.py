"""The layer map and the kinds of the operator page, in a real browser: whatever the answers do, and as a picture."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from browser import LOOK_MS, Tab, needs_chromium, opened
from daemon import Camera, Daemon
from frames import normal

from monitor.bundle import Bundle
from monitor.history.layer_map import Frames, LayerMap
from monitor.web.history import Layer, layer_as_json
from monitor.wire.native import PLACE

pytestmark = needs_chromium

LAYERS = 4
RARELY_S = 10.0  # the page asks no panel's question more seldom
MAP = "**/api/v1/map*"
KINDS = "**/api/v1/taxonomy"


def layer_of(camera: Camera, job: str, layer: int) -> None:
    places = np.ones(60, PLACE)
    places["x"], places["y"] = np.linspace(0, 10, 60), 5.0
    camera.send(normal(60, layer), per_message=60, job=job, layer=layer, places=places)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, small_bundle: Bundle) -> Iterator[Daemon]:
    """A daemon that has seen two jobs, of LAYERS layers each."""
    with Daemon(tmp_path_factory.mktemp("built"), small_bundle.path) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        for job in ("earlier", "later"):
            for layer in range(1, LAYERS + 1):
                layer_of(camera, job, layer)
        daemon.wait_until_judged(2 * LAYERS * 60)
        yield daemon


def until_layer(tab: Tab, number: int) -> None:
    tab.until(f"document.querySelector('#layer-name').textContent === '{number} of'")


def old(tab: Tab, what: str = "#layer-maps") -> bool:
    found: bool = tab.page.evaluate(f"document.querySelector('{what}').classList.contains('old')")
    return found


def test_steps_that_are_made_while_an_answer_is_awaited_all_count(built: Daemon) -> None:
    with opened(built.url) as tab:
        until_layer(tab, LAYERS)
        held: list[Any] = []
        tab.page.route(MAP, lambda route: held.append(route))
        tab.page.click("#layer-back")
        while not held:
            tab.page.wait_for_timeout(LOOK_MS)
        tab.page.click("#layer-back")
        tab.page.click("#layer-back")
        assert len(held) == 1, "one request at a time"
        names = set()
        for _ in range(3):  # also later answers leave it there
            seen = len(held)
            held[-1].continue_()
            tab.pass_s(RARELY_S)
            while len(held) == seen:
                tab.page.wait_for_timeout(LOOK_MS)
                names.add(tab.page.inner_text("#layer-name"))
        assert names <= {f"{LAYERS} of", f"{LAYERS - 3} of"}, "no layer that is no longer wanted"
        until_layer(tab, LAYERS - 3)
        assert tab.page.input_value("#layer-slider") == "0"
        tab.page.unroute_all(behavior="ignoreErrors")


@pytest.mark.parametrize("back", [0, 2])
def test_a_map_that_gets_no_answer_stays_and_is_said_to_be_old(built: Daemon, back: int) -> None:
    with opened(built.url) as tab:
        tab.expected = ["ERR_FAILED"]
        until_layer(tab, LAYERS)
        for _ in range(back):
            tab.page.click("#layer-back")
        until_layer(tab, LAYERS - back)
        tab.page.route(MAP, lambda route: route.abort())
        tab.pass_s(RARELY_S)
        tab.page.wait_for_selector("#layer-maps.old")
        assert tab.page.is_visible("#layer-section")
        assert "no answer" in tab.page.inner_text("#layer-note")
        until_layer(tab, LAYERS - back)
        tab.page.unroute(MAP)
        tab.pass_s(RARELY_S)
        tab.until("!document.querySelector('#layer-maps.old')")
        until_layer(tab, LAYERS - back)
        assert tab.page.inner_text("#layer-note") == ""
        assert tab.page.get_attribute("#layer-follow", "aria-pressed") == str(back == 0).lower()


def test_a_layer_that_is_no_longer_kept_gives_way_to_the_one_being_built(built: Daemon) -> None:
    with opened(built.url) as tab:
        tab.expected = ["404"]
        until_layer(tab, LAYERS)
        tab.page.click("#layer-back")
        until_layer(tab, LAYERS - 1)
        gone = {"error": "there is no such job or layer"}
        tab.page.route("**/api/v1/map?*", lambda route: route.fulfill(status=404, json=gone))
        tab.pass_s(RARELY_S)
        until_layer(tab, LAYERS)
        assert tab.page.inner_text("#layer-note") == f"no longer kept: layer {LAYERS - 1}"
        assert tab.page.get_attribute("#layer-follow", "aria-pressed") == "true"
        tab.page.route(MAP, lambda route: route.fulfill(status=404, json=gone))
        tab.pass_s(RARELY_S)
        tab.page.wait_for_selector("#layer-section", state="hidden")


def test_an_earlier_job_can_be_looked_at_and_follow_leads_back(built: Daemon) -> None:
    with opened(built.url) as tab:
        until_layer(tab, LAYERS)
        options = tab.page.locator("#layer-job option").all_inner_texts()
        assert (options, tab.page.input_value("#layer-job")) == (["later", "earlier"], "later")
        asked = "earlier"
        with tab.page.expect_response(lambda one: f"job={asked}" in one.url) as answer:
            tab.page.select_option("#layer-job", asked)
        assert answer.value.json()["job"] == asked
        tab.page.click("#layer-back")
        until_layer(tab, LAYERS - 1)
        assert tab.page.input_value("#layer-job") == asked
        assert tab.page.get_attribute("#layer-follow", "aria-pressed") == "false"
        tab.page.click("#layer-follow")
        tab.until("document.querySelector('#layer-job').value === 'later'")
        until_layer(tab, LAYERS)


def test_of_one_job_there_is_nothing_to_choose(built: Daemon) -> None:
    with opened(built.url) as tab:
        tab.page.route(MAP, lambda route: route.fulfill(json=as_told(raster(30, 20, 0.37))))
        tab.until("document.querySelector('#layer-name').textContent === '2 of part'")
        assert tab.page.is_hidden("#layer-job")


def raster(columns: int, rows: int, pitch: float) -> np.ndarray:
    """Positions (2, n) of a scan."""
    x, y = np.meshgrid(np.arange(columns) * pitch, np.arange(rows) * pitch)
    return np.stack([x.ravel(), y.ravel()], dtype=np.float32, casting="same_kind")


def as_told(xy: np.ndarray, spike: int = 0) -> dict[str, Any]:
    """Two layers at *xy*, with scores of a fifth to half the limit, and of thrice the limit at *spike*."""
    maps, count = LayerMap(), int(xy.shape[1])
    for number in (1, 2):
        score = np.random.default_rng(number).uniform(0.2, 0.5, count).astype(np.float32)
        score[spike] = 3.0
        maps.add("part", number, Frames(np.arange(count), score, score > 1, xy), number)
    found = maps.show()
    assert found is not None
    told: dict[str, Any] = json.loads(json.dumps(layer_as_json(Layer(found, []))))
    return told


# Outside is what can be reached from a corner without crossing anything that is drawn.
PIXELS = """() => {
  const canvas = document.querySelector('#map'), side = canvas.width;
  const data = canvas.getContext('2d').getImageData(0, 0, side, side).data, outside = new Uint8Array(side * side);
  const waiting = [0];
  while (waiting.length) {
    const at = waiting.pop();
    if (outside[at] || data[4 * at + 3]) continue;
    outside[at] = 1;
    if (at % side) waiting.push(at - 1);
    if (at % side < side - 1) waiting.push(at + 1);
    if (at >= side) waiting.push(at - side);
    if (at < side * (side - 1)) waiting.push(at + side);
  }
  let inside = 0, scored = 0, over = 0, outline = 0;
  for (let at = 0; at < side * side; at++) {
    const [red, green, blue, alpha] = data.subarray(4 * at, 4 * at + 4);
    const is = (...hue) => [red, green, blue].join() === hue.join();
    if (outside[at]) continue;
    if (is(112, 124, 136)) { outline++; continue; }
    inside++;
    scored += alpha > 0 && !is(25, 29, 34);
    over += red > 200;
  }
  return {inside: inside / side ** 2, scored: scored / inside, over: over / inside, outline};
}"""


@pytest.mark.parametrize(
    ("columns", "rows", "pitch"), [(10, 8, 0.37), (30, 20, 0.37), (30, 20, 1.0), (30, 24, 0.11), (160, 125, 0.07)]
)
def test_a_scan_at_any_pitch_is_a_closed_area_in_which_a_spike_is_seen(
    built: Daemon, columns: int, rows: int, pitch: float
) -> None:
    with opened(built.url) as tab:
        tab.page.route(MAP, lambda route: route.fulfill(json=as_told(raster(columns, rows, pitch), columns // 2)))
        tab.until("document.querySelector('#layer-name').textContent === '2 of part'")
        seen = tab.page.evaluate(PIXELS)
        assert seen["scored"] > 0.98
        assert seen["inside"] > 0.6 * rows / columns, "a part fills its picture"
        assert seen["outline"] > 100
        assert 0 < seen["over"] < 4 / (columns * rows) + 0.002, "where it was, and not all over"


def test_a_layer_that_is_begun_shows_the_part_that_it_will_be(built: Daemon) -> None:
    told, part = as_told(raster(30, 20, 0.37)), as_told(raster(30, 20, 0.37))
    half = len(told["ratio"]) // 2
    told["ratio"][half:] = [None] * (len(told["ratio"]) - half)
    with opened(built.url) as tab:
        shown = [told]
        tab.page.route(MAP, lambda route: route.fulfill(json=shown[0]))
        tab.until("document.querySelector('#layer-name').textContent === '2 of part'")
        begun = tab.page.evaluate(PIXELS)
        assert 0.4 < begun["scored"] < 0.65
        shown[0] = {**part, "layer": 1}
        tab.until("document.querySelector('#layer-name').textContent === '1 of part'")
        assert tab.page.evaluate(PIXELS)["inside"] == pytest.approx(begun["inside"], rel=0.02)


def test_a_single_frame_far_away_is_seen(built: Daemon) -> None:
    xy = np.concatenate([raster(30, 20, 0.37), np.array([[30.0], [25.0]], np.float32)], axis=1)
    with opened(built.url) as tab:
        tab.page.route(MAP, lambda route: route.fulfill(json=as_told(xy, xy.shape[1] - 1)))
        tab.until("document.querySelector('#layer-name').textContent === '2 of part'")
        assert tab.page.evaluate(PIXELS)["over"] > 0.001


def kind(number: int, events: int) -> dict[str, Any]:
    told = {"id": number, "name": "", "state": "alive", "priority": None, "events": events, "held": events}
    return {**told, "first_t_ns": 10**18, "last_t_ns": 10**18, "notes": []}


def kinds(*found: dict[str, Any]) -> dict[str, Any]:
    run = {"t_ns": 10**18, "points": 40, "kinds": 6, "why": "6 kinds have the largest stable silhouette: 0.5"}
    told = {"few": [], "few_count": 3, "kinds": list(found), "new": 0, "held": 40, "run": run}
    return {**told, "running": False, "failed": ""}


def test_who_is_to_name_a_kind_sees_what_it_looks_like(built: Daemon) -> None:
    dot = "data:image/gif;base64,R0lGODlhAQABAAAAACw="
    typical = [{"picture": dot, "t_ns": 10**18}] * 5
    with opened(built.url) as tab:
        tab.page.route(KINDS, lambda route: route.fulfill(json=kinds(kind(1, 20))))
        tab.page.route(
            KINDS + "/pictures", lambda route: route.fulfill(json={"kinds": [{"id": 1, "nearest": typical}]})
        )
        for opens in (".kind button", ".kind .thumbs img >> nth=1"):
            tab.page.click(opens)
            tab.page.wait_for_selector("dialog[open] #kind-name")
            assert tab.page.locator("dialog .thumbs img").count() == 4
            tab.page.keyboard.press("Escape")
        assert tab.page.locator(".kind .thumbs img").count() == 4, "they are here, too"


def test_who_stands_on_the_button_of_a_kind_goes_on_standing_there(built: Daemon) -> None:
    told = [kinds(kind(1, 20), kind(2, 9))]
    with opened(built.url) as tab:
        tab.expected = ["404", "ERR_FAILED"]  # no pictures; no answer
        tab.page.route(KINDS, lambda route: route.fulfill(json=told[0]))
        tab.page.locator(".kind button").nth(1).focus()
        told[0] = kinds(kind(7, 30), kind(2, 12), kind(1, 20))
        tab.pass_s(RARELY_S)
        tab.page.wait_for_selector(".kind:has-text('12 events')")
        assert tab.page.evaluate("document.activeElement.closest('.kind').dataset.kind") == "2"
        sentence = tab.page.inner_text("#kinds-run")
        assert sentence.startswith("3 kinds among 40 events, grouped at ")
        assert "3 events too few alike to be a kind" in sentence
        assert "silhouette" not in sentence
        tab.page.route(KINDS, lambda route: route.abort())
        tab.pass_s(RARELY_S)
        tab.page.wait_for_selector("#kinds.old")
        assert tab.page.is_visible("#kinds-section")
        assert "no answer" in tab.page.inner_text("#kinds-run")
        assert tab.page.evaluate("document.activeElement.closest('.kind').dataset.kind") == "2"
