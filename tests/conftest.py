"""What tests of several modules share."""

import os

import pytest

# Before torch is imported, here and in every process that a test starts: its threads spin while they wait, and two
# processes that spin on two cores take each other's time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("GOMP_SPINCOUNT", "0")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from frames import QUICK, runs
from hypothesis import settings

from monitor.bundle import Bundle
from monitor.calibrate import calibrate

# The first call of a loop compiles it: seconds that say nothing of the example that they fall on.
settings.register_profile("compiled", deadline=None)
settings.load_profile("compiled")


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle for 32 x 32 uint8 frames as `frames.normal` makes them; runs 0 to 7 trained it, 8 to 11 set its limits.

    About one normal frame in a hundred lies over a limit, and every frame with a spot. Not to be changed on disk.
    """
    return calibrate(runs(), QUICK, tmp_path_factory.mktemp("small") / "bundle")
