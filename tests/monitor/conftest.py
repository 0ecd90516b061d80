"""What several tests share: images that are judged as tiles, a side process and who listens to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from daemon_example import some_config, some_orders
from scan_examples import TILED, sessions
from side_example import Side, Subscriber

from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.config import Config


@pytest.fixture(scope="session")
def tiled_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for scans as `scan_examples.scans` makes them, in 12 tiles of 32 pixels. Not to be changed on disk."""
    return calibrate(sessions(), TILED, tmp_path_factory.mktemp("tiled") / "bundle")


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


@pytest.fixture
def side(config: Config) -> Iterator[Side]:
    with some_orders(config) as (given, memory):
        made = Side(given, memory)
        yield made
        made.close()


@pytest.fixture
def subscriber(config: Config) -> Iterator[Subscriber]:
    made = Subscriber(config.outputs.alarms)
    yield made
    made.close()
