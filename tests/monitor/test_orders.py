"""What the supervisor sends on standard input is what a process receives, and it opens the same memory with it."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from daemon_example import HEIGHT, LIMITS, SLOTS, WIDTH, some_config, some_orders

from monitor.orders import open_memory, receive


def test_orders_arrive_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with some_orders(some_config(tmp_path)) as (given, _):
        sent = io.BytesIO(msgspec.json.encode(given))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=sent))
        assert receive() == given


def test_every_process_opens_the_same_memory(tmp_path: Path) -> None:
    with some_orders(some_config(tmp_path)) as (given, memory):
        other = open_memory(given)
        memory.vitals["chart_score"][0] = 12.5
        assert other.vitals["chart_score"].tolist() == [12.5, 0.0]
        assert other.vitals["chart_score"].shape == (len(LIMITS),)
        assert other.ring["pixels"].shape == (SLOTS, HEIGHT, WIDTH)
