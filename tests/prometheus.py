"""A real Prometheus on a port of its own, with the rules of deploy/, and what it answers."""

import contextlib
import json
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple, Self

import yaml
from daemon_example import free_port
from programs import program

DEPLOY = Path(__file__).parents[1] / "deploy"
RULES = DEPLOY / "prometheus"


class Answer(NamedTuple):
    """What Prometheus says to a query: *error* is empty where it could be answered."""

    error: str
    series: list[dict[str, Any]]


class Prometheus:
    """Use as a context manager. Scrapes the daemon at *target* as the configuration in deploy/ has it, but faster.

    Tells the *alertmanager* at that address, where there is one.
    """

    def __init__(self, folder: Path, target: str, alertmanager: str | None = None) -> None:
        self._program = program("prometheus", "prometheus")
        self._folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        document = yaml.safe_load((RULES / "prometheus.yml").read_text())
        document["global"] |= {"scrape_interval": "200ms", "scrape_timeout": "200ms", "evaluation_interval": "200ms"}
        document["rule_files"] = [str(RULES / name) for name in document["rule_files"]]
        [job] = document["scrape_configs"]
        job["static_configs"] = [{"targets": [target]}]
        [told] = document["alerting"]["alertmanagers"]
        told["static_configs"] = [{"targets": [] if alertmanager is None else [alertmanager]}]
        self._config = folder / "prometheus.yml"
        self._config.write_text(yaml.safe_dump(document))
        self.log = folder / "prometheus.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    f"--config.file={self._config}",
                    f"--storage.tsdb.path={self._folder / 'series'}",
                    f"--web.listen-address={self.url.removeprefix('http://')}",
                    # It finds its Alertmanager after five seconds, and by default tells again after a minute.
                    "--rules.alert.resend-delay=1s",
                ],
                stdout=log,
                stderr=log,
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            return self.get("/-/ready")[0] == 200
        return False

    def get(self, path: str) -> tuple[int, bytes]:
        try:
            with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def ask(self, query: str) -> Answer:
        """*query* at this moment."""
        _, body = self.get("/api/v1/query?" + urllib.parse.urlencode({"query": query}))
        said = json.loads(body)
        if said["status"] != "success":
            return Answer(said["error"], [])
        data = said["data"]
        return Answer("", data["result"] if data["resultType"] != "scalar" else [{"value": data["result"]}])

    def rules(self) -> list[dict[str, Any]]:
        """Every rule that is loaded, as `api/v1/rules` shows it."""
        groups = json.loads(self.get("/api/v1/rules")[1])["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]
