"""What several tests of images that are judged as tiles share."""

import pytest
from scan_examples import TILED, sessions

from monitor.bundle import Bundle
from monitor.calibrate import calibrate


@pytest.fixture(scope="session")
def tiled_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for scans as `scan_examples.scans` makes them, in 12 tiles of 32 pixels. Not to be changed on disk."""
    return calibrate(sessions(), TILED, tmp_path_factory.mktemp("tiled") / "bundle")
