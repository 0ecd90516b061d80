"""Does the daemon hold a rate without losing a frame? `make hold`, or with options:

    python -m tests.benchmarks.hold_rate --rate 2000 --size 120 --seconds 60 --busy

A camera process replays simulated melt pools over a loopback socket into the real daemon. Beside it, in the same run,
the naive way of scoring (an upsampling autoencoder, eager, as one would first write it) is timed, so that every figure
is a ratio. `--busy` lets another process compete for the cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from daemon import Daemon
from torch import nn

from monitor.bundle import Bundle
from monitor.calibrate import calibrate
from monitor.camera.meltpool.camera import normal_frames
from monitor.camera.recordings import Recording
from monitor.config import Calibration
from monitor.score import load_scorer

BATCH = 32
TIMED_S = 4.0


class Naive(nn.Module):
    """What one would write first: stride-2 convolutions down, nearest upsampling and convolutions up."""

    def __init__(self, side: int, latent: int = 32) -> None:
        super().__init__()
        channels = (1, 16, 32, 64, 128)
        steps = list(pairwise(channels))
        self.grid = side // 16
        self.down = nn.Sequential(*(nn.Sequential(nn.Conv2d(a, b, 3, 2, 1), nn.ReLU()) for a, b in steps))
        self.to_latent = nn.Linear(128 * self.grid**2, latent)
        self.from_latent = nn.Linear(latent, 128 * self.grid**2)
        self.up = nn.Sequential(
            *(
                nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(b, a, 3, 1, 1), nn.ReLU())
                for a, b in reversed(steps)
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.to_latent(self.down(x).flatten(1))
        return self.up(self.from_latent(z).view(-1, 128, self.grid, self.grid))


def rate_of(score: Any, frames: np.ndarray) -> float:
    """Frames a second of *score* on batches of *frames*, after a warm-up."""
    for _ in range(3):
        score(frames)
    begun, done = time.perf_counter(), 0
    while time.perf_counter() - begun < TIMED_S:
        score(frames)
        done += len(frames)
    return done / (time.perf_counter() - begun)


def compare_scoring(bundle: Bundle, frames: np.ndarray) -> tuple[float, float]:
    """Frames a second of our scorer and of the naive way, one thread each, in turn."""
    torch.set_num_threads(1)
    scorer, side = load_scorer(bundle), frames.shape[1]
    padded = np.pad(frames, ((0, 0), (0, -side % 16), (0, -side % 16)))
    naive = Naive(padded.shape[1]).eval()

    @torch.inference_mode()
    def naively(batch: np.ndarray) -> None:
        x = torch.from_numpy(batch).float().div(255).unsqueeze(1)
        residual = x - naive(x)
        residual.var(dim=(1, 2, 3))

    return rate_of(scorer, frames), rate_of(naively, padded)


def hold(bundle: Bundle, folder: Path, rate_hz: float, seconds: float, busy: bool, batch: int) -> dict[str, float]:
    """Run daemon and camera at *rate_hz*; what the daemon says of it."""
    bank = folder / "bank.npy"
    np.save(bank, normal_frames(4000, 10**6, bundle.manifest.height, bundle.manifest.width))
    given = {"socket": "sub", "bind": False, "rate_hz": rate_hz, "buffer_s": 4}
    rival = subprocess.Popen([sys.executable, "-c", "while True: pass"]) if busy else None
    try:
        with Daemon(folder, bundle.path, input=given, engine={"batch": batch}) as daemon:
            daemon.wait_for_state("ok", "blind")
            arguments = (
                "replay",
                str(bank),
                "--loop",
                "--endpoint",
                daemon.endpoint,
                "--rate",
                str(rate_hz),
                "--camera",
                "cam",
            )
            camera = subprocess.Popen([sys.executable, "-m", "monitor.cli", *arguments], stderr=subprocess.DEVNULL)
            begun = time.monotonic()
            daemon.wait_until(lambda: time.monotonic() - begun > seconds, "end", patience_s=seconds + 60)
            camera.terminate()
            camera.wait()
            status = daemon.wait_until_judged(1)
            memory = {name: resident_mib(daemon.child(name)) for name in ("hot", "side")}
            daemon.stop()
    finally:
        if rival is not None:
            rival.kill()
            rival.wait()
    ledger = status.ledger
    return {
        "announced": ledger.announced,
        "judged": ledger.judged,
        "unjudged": sum(ledger.unjudged.values()),
        "lost_upstream": ledger.lost_upstream,
        "dropped": sum(ledger.dropped.values()),
        "p99_ms": max((one.frame_age_p99_ms for one in daemon.heartbeats[5:]), default=float("nan")),
        "resident_hot_mib": memory["hot"],
        "resident_side_mib": memory["side"],
    }


def resident_mib(pid: int) -> float:
    """Resident memory of a process, the shared ring not counted."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return (int(fields["RssAnon"].split()[0]) + int(fields["RssFile"].split()[0])) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=2000.0)
    parser.add_argument("--size", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--batch", type=int, default=BATCH)
    parser.add_argument("--busy", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        runs = [Recording(f"run {seed}", normal_frames(60, seed, options.size, options.size)) for seed in range(12)]
        # Limits that keep a budget, and a chart with a memory: what a frame costs in the daemon is all of it.
        clean = [
            Recording(f"clean {seed}", normal_frames(600, seed, options.size, options.size)) for seed in range(20, 26)
        ]
        settings = Calibration(max_steps=300, memories_s=(20 / options.rate,))
        bundle = calibrate(runs, settings, folder / "bundle", stretches=clean, rate_hz=options.rate)
        ours, naive = compare_scoring(bundle, runs[0].frames[:BATCH])
        found = hold(bundle, folder, options.rate, options.seconds, options.busy, options.batch)
    say = sys.stdout.write
    say(
        f"{options.size} px, {options.rate:g} Hz for {options.seconds:g} s, {os.cpu_count()} cores, "
        f"torch {torch.__version__}{', with a competing process' if options.busy else ''}\n"
    )
    say(f"scoring alone, one thread: {ours:.0f} frames/s; the naive way: {naive:.0f}; ratio {ours / naive:.1f}\n")
    say(f"rate held over what the naive way scores: {options.rate / naive:.1f}\n")
    for label, value in found.items():
        say(f"  {label:<18} {value:g}\n")
    say("held\n" if found["dropped"] == found["lost_upstream"] == 0 else "NOT held\n")


if __name__ == "__main__":
    main()
