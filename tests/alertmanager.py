"""A real Alertmanager on a port of its own, with the example of deploy/, and what its receivers are sent."""

import json
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import yaml
from daemon_example import free_port
from programs import program

EXAMPLE = Path(__file__).parents[1] / "deploy" / "alertmanager" / "alertmanager.yml"
WAITS = {"group_wait": "100ms", "group_interval": "200ms"}


class Alertmanager:
    """Use as a context manager. Sends as the example in deploy/ has it, but sooner, and to *port* of this machine."""

    def __init__(self, folder: Path, port: int) -> None:
        self._program = program("prometheus-alertmanager", "prometheus-alertmanager", "alertmanager")
        self._folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        document = yaml.safe_load(EXAMPLE.read_text().replace("127.0.0.1:9099", f"127.0.0.1:{port}"))
        for route in (document["route"], *document["route"]["routes"]):
            route |= {key: value for key, value in WAITS.items() if key in route and route[key] != "0s"}
        self._config = folder / "alertmanager.yml"
        self._config.write_text(yaml.safe_dump(document))
        self.log = folder / "alertmanager.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._config}",
                    f"--storage.path={self._folder / 'alertmanager'}",
                    f"--web.listen-address={self.address}",
                    "--cluster.listen-address=",  # it is alone
                ],
                stdout=log,
                stderr=log,
            )
        never = threading.Event()
        while not self._is_ready():
            never.wait(0.02)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            with urllib.request.urlopen(f"http://{self.address}/-/ready", timeout=10) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, ConnectionError):
            return False

    def tell(self, alerts: Iterable[dict[str, Any]]) -> None:
        """Of *alerts*, as Prometheus does: `labels`, and `endsAt` of those that are over."""
        request = urllib.request.Request(
            f"http://{self.address}/api/v2/alerts", json.dumps([*alerts]).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
