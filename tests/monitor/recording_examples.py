"""Recordings for tests: frames with known pixels, in folders and files."""

from pathlib import Path
from typing import Any

import h5py
import hdf5plugin
import numpy as np
import pytest
from PIL import Image

from monitor.camera.recordings import RecordingError, groups

Frames = np.ndarray[Any, np.dtype[Any]]


def noise(count: int = 4, height: int = 20, width: int = 24, dtype: str = "uint8", seed: int = 0) -> Frames:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.normal(100.0, 10.0, (count, height, width)).astype(dtype)
    return rng.integers(1, np.iinfo(dtype).max, (count, height, width), dtype=dtype)


def folder_of_images(folder: Path, frames: Frames, suffix: str = ".png") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"frame_{number}{suffix}")
    return folder


def hdf5_file(path: Path, **datasets: Frames) -> Path:
    with h5py.File(path, "w") as file:
        for name, data in datasets.items():
            file.create_dataset(f"entry/{name}", data=data, **hdf5plugin.Bitshuffle())
    return path


def refusal(path: Path | str) -> str:
    """The one line that reading *path* ends in."""
    with pytest.raises(RecordingError) as caught:
        groups([str(path)])
    line = str(caught.value)
    assert "\n" not in line
    return line
