"""`make bench-gpu` runs, as far as a machine without a GPU can show: what it checks, measures and prints."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from models.scores import CHARTS
from tests.benchmarks import gpu
from tests.benchmarks.gpu import PRECISIONS, QUICK, Error, Measured, Plan, Rate
from tests.models.step_examples import example


def test_all_of_it_runs_on_the_processor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main(["--quick", "--device", "cpu", "--json", str(tmp_path / "gpu.json")]) == 0
    measured = msgspec.json.decode((tmp_path / "gpu.json").read_bytes(), type=Measured)
    assert (measured.device, measured.torch, measured.fused) == ("cpu", torch.__version__, False)
    assert [rate.batch for rate in measured.rates] == list(QUICK.batches)
    assert len(measured.errors) == len(QUICK.cameras) * len(PRECISIONS) * len(CHARTS)
    assert all(0 < one.most <= one.largest for one in measured.errors)
    told = capsys.readouterr().out
    assert told == gpu.report(measured)
    assert "| 64 px uint8 | bfloat16 |" in told
    assert min(measured.ceilings.copied_gb_s, measured.ceilings.multiplied_tflop_s) > 0


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_scores_in_float32_are_those_of_float64(dtype: str) -> None:
    shown = example(count=30)
    shown = shown._replace(frames=shown.frames.astype(dtype))
    errors = gpu.check("camera", shown, "cpu", 30)
    assert all(one.largest < 1e-2 for one in errors if one.precision == "float32")
    assert all(one.elsewhere == 0 for one in errors if one.precision == "float32")
    rounded = {one.chart: one.largest for one in errors if one.precision == "bfloat16"}
    assert rounded["s2"] > 10 * max(one.largest for one in errors if (one.precision, one.chart) == ("float32", "s2"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu.main([]) == 2
    out, line = capsys.readouterr()
    assert out == ""
    assert line == f"bench-gpu: torch {torch.__version__} sees no CUDA device cuda: not measured\n"


def test_tables_hold_ratios_of_one_run() -> None:
    rate = Rate("64 px uint8", 2048, 100_000.0, 50_000.0, 10_000.0, 5_000.0, 0.25, 0.031)
    last = gpu.rates_table([rate]).splitlines()[-1]
    assert last == "| 64 px uint8 | 2,048 | 100,000 | 2.0 | 10.0 | 20.0 | 25% | 3.1% |"
    errors = [Error("64 px uint8", "float32", chart, 2e-5, 1e-6, 0.01) for chart in CHARTS]
    last = gpu.errors_table(errors).splitlines()[-1]
    assert last == "| 64 px uint8 | float32 |" + " 2.0e-05 (1.0e-06) |" * 4 + " 1.00% |"


def test_rates_are_medians_of_rounds() -> None:
    scored: list[int] = []
    plan = Plan(slice_s=0.0, rounds=3)
    found = gpu.rates_of({"way": lambda frames: scored.append(len(frames))}, np.zeros((7, 2, 2)), plan)
    assert scored == [7] * 4  # once to warm up
    assert found["way"] > 0


def test_cameras_are_of_both_kinds() -> None:
    plan = QUICK._replace(cameras=((96, "uint16"),), training_frames=40, checked=10)
    shown = gpu.learned(96, "uint16", plan)
    assert (shown.frames.shape, shown.frames.dtype) == ((10, 96, 96), np.uint16)
    assert shown.frames.max() > 255
