"""Programs that some tests need and Python does not bring. Continuous integration installs them and skips nothing."""

import os
import shutil

import pytest

REQUIRED = bool(os.environ.get("CI") or os.environ.get("FRAMEWATCH_CI"))
PATH = f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin"


def program(package: str, *names: str) -> str:
    """The path of the first of *names* that is here. Skips where none is, and fails where that must not be."""
    found = next(filter(None, (shutil.which(name, path=PATH) for name in names)), None)
    if found is None:
        why = f"{names[0]} is not installed; on Debian and Ubuntu: apt-get install {package}"
        if REQUIRED:
            pytest.fail(why)
        pytest.skip(why)
    return found
