"""What one scrape of /metrics takes, with every series there is: a running daemon, asked over HTTP as Prometheus asks.

    python -m tests.benchmarks.scrape_cost --scrapes 200

Budgets of alarms and of stops, a webhook, an OPC UA server and a journal of alarms; frames come at 100 Hz meanwhile.
"""

import argparse
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(1, str(Path(__file__).parents[1] / "monitor"))

import numpy as np
from budget import EVENTS, RATE_HZ, with_stops
from daemon import Camera, Daemon, Stream
from daemon_example import free_port
from frames import QUICK, normal, runs, with_spot
from receivers import Receiver

from monitor.calibrate import calibrate

ASKED_AS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"}


def scrapes(daemon: Daemon, count: int) -> tuple[np.ndarray, bytes]:
    """Seconds that each of *count* scrapes took, on a connection of its own, and the last answer."""
    took, body = [], b""
    for _ in range(count):
        begun = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(daemon.url + "/metrics", headers=ASKED_AS)) as answer:
            body = answer.read()
        took.append(time.perf_counter() - begun)
    return np.array(took), body


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--scrapes", type=int, default=200)
    count = parser.parse_args().scrapes
    with tempfile.TemporaryDirectory() as name, Receiver(free_port()) as office:
        folder = Path(name)
        bundle = with_stops(calibrate(runs(), QUICK, folder / "trained"), folder / "bundle", 2.0)
        sections = {
            "events": {"k": EVENTS.k, "n": EVENTS.n},
            "input": {"rate_hz": RATE_HZ},
            "sinks": {"webhooks": [{"name": "office", "url": office.url}]},
            "opcua": {"port": free_port()},
        }
        cycle = np.concatenate([normal(90, 70), with_spot(normal(10, 71))])
        with Daemon(folder, bundle.path, **sections) as daemon, Camera(daemon.endpoint) as camera:
            daemon.wait_until_listening()
            with Stream(camera, cycle, RATE_HZ, 1):
                daemon.wait_until(lambda: bool(daemon.raised()), "an alarm")
                took, body = scrapes(daemon, count)
    lines = [line for line in body.decode().splitlines() if line and not line.startswith("#")]
    p50, p99 = np.quantile(took, (0.5, 0.99)) * 1e3
    print(f"{len(lines)} series, {len(body)} bytes; {count} scrapes: p50 {p50:.1f} ms, p99 {p99:.1f} ms")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
