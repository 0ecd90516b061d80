"""The operator page for minutes, in a real browser: `python -m tests.benchmarks.page_run [--minutes 10]`.

A simulated melt-pool camera with anomalies, the daemon, and its page in Chromium, all on this machine. Tells

- how long after the first frame of an event was exposed its alarm stood on the page, and after how long its frame was
  there with the worst spot marked, once the process that draws was started, which is done for the first who looks;
- memory of the page (after a collection of garbage) and of the daemon's processes, minute by minute, and by how much it
  grew over the second half: the first one fills what is bounded, such as the maps of the last 200 layers;
- what the page's console said of errors.

Needs Chromium (apt-get install chromium), and a bundle of `framewatch demo` (`--bundle`, else a demonstration is
calibrated first).
"""

import argparse
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import msgspec
import numpy as np

from monitor.bench.daemon import free_ports
from monitor.demo import Scene, calibrated
from tests.benchmarks.document import table
from tests.browser import DRAWING, WATCH, Tab, opened

SOON_MS = 2000.0
CAMERA = "bench"
START_S = 60.0
RATE_HZ = 1000
ANOMALY_RATE = 1 / 10_000


class Running(NamedTuple):
    """A daemon and where its page is."""

    process: subprocess.Popen[bytes]
    url: str

    def child(self, name: str) -> int:
        """Process id of the `hot` or the `side` process."""
        task = f"/proc/{self.process.pid}/task/{self.process.pid}/children"
        for pid in Path(task).read_text().split():
            if f"monitor.{name}".encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return int(pid)
        raise ValueError(f"there is no {name} process")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--rate", type=int, default=RATE_HZ)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        bundle = options.bundle or calibrated(Scene(1.0, folder=Path(folder))).path
        frames, alarms, permit, snapshot, page = free_ports(5)
        config = Path(folder) / "framewatch.yaml"
        document = {
            "camera": CAMERA,
            "journal": str(Path(folder) / "journal.db"),
            "bundle": str(bundle.absolute()),
            "input": {"endpoint": at(frames), "socket": "pull", "bind": True, "rate_hz": options.rate},
            "outputs": {"alarms": at(alarms), "permit": at(permit), "snapshot": at(snapshot)},
            "events": {"k": 2, "n": 3},
            "alarms": {"flood": None},
            "http": {"port": page},
        }
        config.write_text(msgspec.json.encode(document).decode())  # JSON is YAML
        camera = (
            *("simulate", "meltpool", "--camera", CAMERA, "--endpoint", at(frames), "--socket", "push", "--connect"),
            *("--rate", str(options.rate), "--size", "64", "--anomaly-rate", str(ANOMALY_RATE)),
        )
        running = Running(_started(stack, "run", "--config", str(config)), f"http://127.0.0.1:{page}")
        _wait_until_answered(running.url)
        _started(stack, *camera)
        tab = stack.enter_context(opened(running.url))
        tab.expected = ["404"]  # of the pictures that are asked for below before they are there
        tab.until("document.body.dataset.state === 'ok'")
        tab.until(DRAWING)
        _watch(tab, running, options.minutes)


def at(port: int) -> str:
    return f"tcp://127.0.0.1:{port}"


def _started(stack: ExitStack, *arguments: str) -> "subprocess.Popen[bytes]":
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor.cli", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    stack.callback(process.wait)
    stack.callback(process.terminate)
    return process


def _wait_until_answered(url: str) -> None:
    ends_s = time.monotonic() + START_S
    while True:
        try:
            if httpx.get(url + "/healthz").status_code == 200:
                return
        except httpx.TransportError:
            if time.monotonic() > ends_s:
                raise
            time.sleep(0.2)


def _watch(tab: Tab, running: Running, minutes: int) -> None:
    tab.page.evaluate(WATCH)
    session = tab.page.context.new_cdp_session(tab.page)
    rows = []
    for minute in range(minutes + 1):
        rows.append((minute, *_memory(tab, session, running)))
        if minute < minutes:
            tab.page.wait_for_timeout(60_000)
    sys.stdout.write(
        table(("minute", "page, MiB", "elements", "hot, MiB", "side, MiB"), [list(map(str, row)) for row in rows])
        + "\n\n"
    )
    for place, name in ((1, "page"), (3, "hot process"), (4, "side process")):
        grown = rows[-1][place] - rows[minutes // 2][place]
        sys.stdout.write(f"{name}: {grown:+.1f} MiB from minute {minutes // 2} to {minutes}\n")
    _tell_delays(tab, running)
    sys.stdout.write(f"errors on the console, but for pictures asked for too soon: {tab.errors}\n")


def _memory(tab: Tab, session: Any, running: Running) -> tuple[float, int, float, float]:
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    elements: int = tab.page.evaluate("document.querySelectorAll('*').length")
    hot, side = (_private_mib(running.child(name)) for name in ("hot", "side"))
    return round(heap, 1), elements, hot, side


def _private_mib(pid: int) -> float:
    """Memory of a process without the ring, which all share."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    held = {line.split()[0]: int(line.split()[1]) for line in lines[1:]}
    return round((held["Private_Dirty:"] + held["Private_Clean:"]) / 1024, 1)


def _tell_delays(tab: Tab, running: Running) -> None:
    arrived: dict[str, Any] = tab.page.evaluate("window.arrived")
    alarms = httpx.get(running.url + "/api/v1/alarms?limit=1000").json()["alarms"]
    # A layer's rate of exceedances is charted when the layer is over, and begins with the layer.
    about = [one for one in alarms if one["first_t_ns"] and one["peak"] and one["source"] != "exceedance_rate"]
    began = {one["id"]: one["first_t_ns"] / 1e6 for one in about}
    seen = [(one, began[key]) for key, one in arrived.items() if key in began]
    fresh = [(one, t_ms) for one, t_ms in seen if one["row_ms"] - t_ms < 60_000]  # those before were there already
    pictured = [(one, t_ms) for one, t_ms in fresh if one["picture_ms"] is not None]
    for name, delays in (
        ("on the page", [one["row_ms"] - t_ms for one, t_ms in fresh]),
        ("its frame and spot", [one["picture_ms"] - t_ms for one, t_ms in pictured]),
    ):
        if delays:
            soon = sum(delay <= SOON_MS for delay in delays)
            middle, most = np.median(delays), np.max(delays)
            told = f"{middle:.0f} ms in the median, {most:.0f} ms at the most, {soon} within two seconds"
            sys.stdout.write(f"{name}: {len(delays)} alarms, {told}\n")
    spots = sum(one["spot"] for one, _ in pictured)
    sys.stdout.write(f"{len(pictured)} of {len(fresh)} alarms with a frame, {spots} with a marked spot\n")


if __name__ == "__main__":
    main()
