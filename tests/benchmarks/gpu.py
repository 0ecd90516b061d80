"""Scores on a GPU: are they those of float64, and how many a second? `make bench-gpu`, or with options:

    python -m tests.benchmarks.gpu [--quick] [--checks] [--json FILE] [--device cuda:1]

Scores are held against the charts' formulas through a float64 copy of the network on the processor; errors are shares
of the chart's standard deviation over the same in-control frames. Then frames a second from page-locked memory, batch
by batch: captured graphs, the same step launched operation by operation, the naive way (an upsampling autoencoder,
eager, from memory as numpy gives it) and the engine of the processor, in turn in every round. Ceilings are of the same
run. Exit status 2 where there is no GPU. `--device cpu` tries all of it out without one.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import torch

from calibration import charts
from models import cuda
from models.autoencoder import operations
from models.cuda import CudaEngine
from models.scores import CHARTS, Precision
from models.tensors import ChartParameters
from models.training import TrainingSettings, latents_and_residuals, train
from monitor.bench.naive import DOWN, Naive
from monitor.camera.meltpool import camera as meltpool
from monitor.camera.stem import diffraction
from monitor.device import name_of
from tests.benchmarks.document import table
from tests.models.step_examples import Example, in_float64

Frames = npt.NDArray[Any]
PRECISIONS: Final[tuple[Precision, ...]] = ("float32", "bfloat16")


class Plan(NamedTuple):
    """How much is measured."""

    cameras: tuple[tuple[int, str], ...] = ((64, "uint8"), (96, "uint16"), (128, "uint8"), (192, "uint8"))
    training_frames: int = 800
    training_steps: int = 200
    checked: int = 600  # frames whose scores are held against float64
    batches: tuple[int, ...] = (1, 8, 32, 128, 512, 2048)
    slice_s: float = 0.3  # of each way in a round
    rounds: int = 5
    copied_mib: int = 512
    product: int = 8192  # rows and columns of the matrices of a ceiling


QUICK: Final = Plan(((64, "uint8"),), 80, 10, 40, (8, 40), 0.0, 1, 4, 128)


class Error(msgspec.Struct, frozen=True):
    """How far a chart's scores lie from those of float64, in standard deviations of in-control frames."""

    camera: str
    precision: Precision
    chart: str
    largest: float
    most: float  # of 99 % of the frames
    elsewhere: float  # share of frames whose `where` is another than the processor's; of `local` alone


class Rate(msgspec.Struct, frozen=True):
    """Frames a second, medians over rounds."""

    camera: str
    batch: int
    graphs: float
    launched: float
    naive: float
    processor: float
    copied: float  # share of what copying to the device could do
    multiplied: float  # share of what its bfloat16 products could do


class Ceilings(msgspec.Struct, frozen=True):
    """What the device does at best, in the same run."""

    copied_gb_s: float  # page-locked memory to the device
    moved_gb_s: float  # on the device, read and written
    multiplied_tflop_s: float  # products of bfloat16 matrices


class Measured(msgspec.Struct, frozen=True):
    """All of a run."""

    device: str
    torch: str
    fused: bool  # whether residuals were looked at by kernels of their own
    ceilings: Ceilings
    errors: list[Error]
    rates: list[Rate]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda", help="cuda, cuda:N, or cpu to try it out")
    parser.add_argument("--quick", action="store_true", help="a few frames of one camera: does it run?")
    parser.add_argument("--checks", action="store_true", help="scores alone, no rates")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    options = parser.parse_args(arguments)
    if options.device != "cpu" and not cuda.is_there(options.device):
        sys.stderr.write(f"bench-gpu: torch {torch.__version__} sees no CUDA device {options.device}: not measured\n")
        return 2
    plan = QUICK if options.quick else Plan()
    measured = measure(options.device, plan._replace(batches=()) if options.checks else plan)
    sys.stdout.write(report(measured))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(measured), indent=1))
    return 0


def measure(device: str, plan: Plan) -> Measured:
    """Everything of *plan* on *device*."""
    ceilings = measure_ceilings(device, plan)
    errors, rates, fused = [], [], False
    for side, dtype in plan.cameras:
        name, shown = f"{side} px {dtype}", learned(side, dtype, plan)
        errors += check(name, shown, device, plan.checked)
        found, fused = measure_rates(name, shown, device, plan, ceilings)
        rates += found
    return Measured(name_of(device), str(torch.__version__), fused, ceilings, errors, rates)


def learned(side: int, dtype: str, plan: Plan) -> Example:
    """A short training on frames of a camera, prepared as `framewatch calibrate` does: errors hardly depend on it."""
    count = plan.training_frames + plan.checked
    if dtype == "uint16":
        frames = diffraction.normal_frames(count, 1, side, side).astype(np.uint16) * 200
    else:
        frames = meltpool.normal_frames(count, 1, side, side, 7)
    training = frames[: plan.training_frames]
    settings = TrainingSettings(max_steps=plan.training_steps, binning="auto", orientation="auto")
    trained = train(training, settings, lambda *_: None)
    fitted = charts.fit(lambda: latents_and_residuals(trained, training))
    return Example(trained, ChartParameters(*fitted[:7]), frames[plan.training_frames :])


def check(camera: str, shown: Example, device: str, count: int) -> list[Error]:
    """Scores of *device* against those of float64."""
    frames = shown.frames[:count]
    exact, ours = in_float64(shown, frames), shown.scorer(frames)
    errors = []
    for precision in PRECISIONS:
        found = CudaEngine(*shown.folded, precision, device)(frames, lambda: None)
        elsewhere = float((found.where != ours.where).any(axis=1).mean())
        for chart in CHARTS:
            moved = np.abs(getattr(found, chart) - exact[chart]) / exact[chart].std()
            largest, most = float(moved.max()), float(np.quantile(moved, 0.99))
            errors.append(Error(camera, precision, chart, largest, most, elsewhere if chart == "local" else 0.0))
    return errors


def measure_rates(camera: str, shown: Example, device: str, plan: Plan, ceilings: Ceilings) -> tuple[list[Rate], bool]:
    """Frames a second of every way at every batch size, and whether the device had kernels for residuals."""
    captured, launched = (
        CudaEngine(*shown.folded, "bfloat16", device, captured=captured) for captured in (True, False)
    )
    processor, naively = shown.scorer, naive_way(shown.frames.shape[1], shown.frames.dtype.name, device)
    ways: dict[str, Callable[[Frames], object]] = {
        "graphs": lambda frames: captured(frames, lambda: None),
        "launched": lambda frames: launched(frames, lambda: None),
        "naive": naively,
        "processor": lambda frames: processor(frames, lambda: None),
    }
    network, rates = shown.trained.network, []
    for batch in plan.batches:
        frames = np.ascontiguousarray(np.resize(shown.frames, (batch, *shown.frames.shape[1:])))
        locked = device != "cpu" and cuda.pin(frames, device)
        found = rates_of(ways, frames, plan)
        if locked:
            cuda.unpin(frames)
        copied = found["graphs"] * frames[0].nbytes / (ceilings.copied_gb_s * 1e9)
        multiplied = found["graphs"] * 2 * operations(network) / (ceilings.multiplied_tflop_s * 1e12)
        rates.append(Rate(camera=camera, batch=batch, copied=copied, multiplied=multiplied, **found))
    return rates, captured.fused


def rates_of(ways: Mapping[str, Callable[[Frames], object]], frames: Frames, plan: Plan) -> dict[str, float]:
    """Frames a second of each of *ways*, in turn in every round; medians. Each way's scores are on the host by then."""
    for way in ways.values():
        way(frames)
    rounds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(plan.rounds):
        for name, way in ways.items():
            rounds[name].append(len(frames) / seconds_of(lambda way=way: way(frames), plan.slice_s))
    return {name: float(np.median(found)) for name, found in rounds.items()}


def seconds_of(run: Callable[[], object], slice_s: float) -> float:
    """Of one *run*, repeated for at least *slice_s*."""
    begun, runs = time.perf_counter(), 0
    while runs == 0 or time.perf_counter() - begun < slice_s:
        run()
        runs += 1
    return (time.perf_counter() - begun) / runs


def naive_way(side: int, dtype: str, device: str) -> Callable[[Frames], object]:
    """What one would write first: an eager network with upsampling, frames and scores moved one after the other."""
    padded = side - side % -DOWN
    network = Naive(padded, padded).eval().to(device)
    white = 255 if dtype == "uint8" else 65535

    @torch.inference_mode()
    def score(frames: Frames) -> object:
        x = torch.from_numpy(frames).to(device).float().div(white).unsqueeze(1)
        x = torch.nn.functional.pad(x, (0, padded - side, 0, padded - side))
        return (x - network(x)).var(dim=(1, 2, 3)).cpu()

    return score


def measure_ceilings(device: str, plan: Plan) -> Ceilings:
    """What copies, moves and products of *device* reach at best."""
    wait = torch.get_device_module(device).synchronize
    size = plan.copied_mib * 2**20
    host = torch.ones(size, dtype=torch.uint8, pin_memory=device != "cpu")
    there, other = (torch.empty(size, dtype=torch.uint8, device=device) for _ in range(2))
    matrix = torch.randn(plan.product, plan.product, device=device).to(torch.bfloat16)

    def best(work: Callable[[], object]) -> float:
        def run() -> None:
            work()
            wait()

        run()
        return min(seconds_of(run, plan.slice_s / 5) for _ in range(plan.rounds))

    return Ceilings(
        copied_gb_s=size / best(lambda: there.copy_(host, non_blocking=True)) / 1e9,
        moved_gb_s=2 * size / best(lambda: other.copy_(there)) / 1e9,
        multiplied_tflop_s=2 * plan.product**3 / best(lambda: matrix @ matrix) / 1e12,
    )


def report(measured: Measured) -> str:
    """The tables of *measured*, in markdown."""
    how = "kernels of their own" if measured.fused else "operations of torch"
    reached = measured.ceilings
    return "\n".join(
        (
            f"{measured.device}, torch {measured.torch}; residuals by {how}\n",
            f"Ceilings: {reached.copied_gb_s:.1f} GB/s from page-locked memory to the device, "
            f"{reached.moved_gb_s:.0f} GB/s on it, {reached.multiplied_tflop_s:.1f} TFLOP/s in products of bfloat16\n",
            errors_table(measured.errors),
            rates_table(measured.rates),
        )
    )


def errors_table(errors: Sequence[Error]) -> str:
    """A row a camera and precision: largest error of each chart, and that of 99 % of the frames."""
    rows = []
    for camera, precision in dict.fromkeys((one.camera, one.precision) for one in errors):
        mine = {one.chart: one for one in errors if (one.camera, one.precision) == (camera, precision)}
        cells = (f"{mine[chart].largest:.1e} ({mine[chart].most:.1e})" for chart in CHARTS)
        rows.append([camera, precision, *cells, f"{mine['local'].elsewhere:.2%}"])
    head = ["camera", "decoder", *(f"{chart}, largest (99 %)" for chart in CHARTS), "window elsewhere"]
    return table(head, rows)


def rates_table(rates: Sequence[Rate]) -> str:
    """A row a camera and batch; nothing where there are none."""
    if not rates:
        return ""
    rows = [
        [
            one.camera,
            f"{one.batch:,}",
            f"{one.graphs:,.0f}",
            *(f"{one.graphs / other:.1f}" for other in (one.launched, one.naive, one.processor)),
            f"{one.copied:.0%}",
            f"{one.multiplied:.1%}",
        ]
        for one in rates
    ]
    ratios = ["over single launches", "over the naive way", "over the processor"]
    return table(["camera", "batch", "frames/s", *ratios, "of the copy ceiling", "of the product ceiling"], rows)


if __name__ == "__main__":
    sys.exit(main())
