"""Loops are compiled with and without a folder to keep them in."""

from typing import Any

import numba
import pytest

from models import compiled as module
from models.compiled import compiled, keeps


def doubled(x: float) -> float:
    return 2 * x


def test_without_a_folder_to_keep_it_in_a_loop_is_compiled_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def njit(**how: Any) -> Any:
        asked.append(bool(how.get("cache")))
        if how.get("cache"):
            raise RuntimeError("cannot cache function: no locator available for file")
        return numba.njit(**how)

    monkeypatch.setattr(module, "njit", njit)
    loop = compiled(doubled)
    assert loop(1.5) == 3.0
    assert asked == [True, False]
    assert not keeps(loop)


def test_a_loop_is_kept_for_the_next_start() -> None:
    loop = compiled(doubled)
    assert loop(1.5) == 3.0
    assert keeps(loop)
