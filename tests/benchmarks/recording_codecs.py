"""How small and how fast recordings of simulated melt pools are written, by codec."""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np

from monitor.camera import simulate
from monitor.recorder.take import frames_a_block

CODECS: dict[str, dict[str, Any]] = {
    "none": {},
    "Bitshuffle, LZ4": dict(hdf5plugin.Bitshuffle(cname="lz4")),
    "Bitshuffle, Zstd 1": dict(hdf5plugin.Bitshuffle(cname="zstd", clevel=1)),
    "Zstd 1": dict(hdf5plugin.Zstd(clevel=1)),
    "Zstd 3": dict(hdf5plugin.Zstd(clevel=3)),
    "gzip 1": {"compression": "gzip", "compression_opts": 1},
}


def frames_of(side: int, count: int) -> np.ndarray:
    """Frames with the laser on."""
    camera = simulate.camera_of("meltpool", size=(side, side), seed=3, bank=count)
    shots = [np.array(shot.pixels) for shot, _ in camera.shots(2 * count) if shot.active]
    return np.concatenate(shots)[:count]


def timed(frames: np.ndarray, path: Path, options: dict[str, Any]) -> tuple[float, float]:
    """Seconds to write and to read."""
    chunks = (min(frames_a_block(frames[0].nbytes), len(frames)), *frames.shape[1:])
    begun = time.perf_counter()
    with h5py.File(path, "w") as file:
        file.create_dataset("frames", data=frames, chunks=chunks, **options)
    written = time.perf_counter()
    with h5py.File(path, "r") as file:
        file["frames"][()]
    return written - begun, time.perf_counter() - written


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=2000)
    parser.add_argument("--repeat", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for side in (64, 120):
            frames = frames_of(side, options.frames)
            print(f"{len(frames)} frames of {side} px, {frames.dtype}: share of the raw size, MiB/s written and read")  # noqa: T201
            for name, codec in CODECS.items():
                path = Path(folder) / "frames.h5"
                seconds = [timed(frames, path, codec) for _ in range(options.repeat)]
                rates = (frames.nbytes / 2**20 / statistics.median(each) for each in zip(*seconds, strict=True))
                share = path.stat().st_size / frames.nbytes
                print(f"  {name:<20} {share:5.2f} {next(rates):6.0f} {next(rates):6.0f}")  # noqa: T201


if __name__ == "__main__":
    main()
