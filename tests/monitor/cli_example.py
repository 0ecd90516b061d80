"""Commands run in a folder of their own, and what one says that refuses, for the tests of the commands."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from frames import normal
from PIL import Image

from monitor import cli

FRESH = normal(60, 70)
QUICK = "calibration: {latent: 2, max_steps: 10, false_alarm_rate: 0.01}\n"


class Ended(NamedTuple):
    """A command that has ended."""

    status: int
    out: str
    err: str


class Desk:
    """Runs commands in this process, in a folder of their own, and looks at what they leave there."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def run(self, *arguments: object) -> Ended:
        try:
            status = cli.main([str(one) for one in arguments])
        except SystemExit as exit_:
            status = exit_.code if isinstance(exit_.code, int) else 1
        out, err = self._capsys.readouterr()
        return Ended(status, out, err)

    def refuse(self, *arguments: object) -> str:
        """What the command says on standard error, once it is clear that it said it as it should."""
        before = self.contents()
        ended = self.run(*arguments)
        assert_refused(ended, 2)
        assert self.contents() == before, "a refusal leaves everything as it was"
        return ended.err

    def contents(self) -> dict[str, bytes | None]:
        return {str(one): one.read_bytes() if one.is_file() else None for one in sorted(self.folder.rglob("*"))}

    def file(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def recording(self, name: str, frames: np.ndarray = FRESH) -> Path:
        path = self.folder / f"{name}.npy"
        np.save(path, frames)
        return path

    def images(self, name: str, frames: Sequence[np.ndarray]) -> Path:
        folder = self.folder / name
        folder.mkdir()
        for index, frame in enumerate(frames):
            Image.fromarray(frame).save(folder / f"frame_{index}.png")
        return folder


def assert_refused(ended: Ended, status: int) -> None:
    assert ended.status == status, ended
    assert ended.err.count("\n") == 1, ended.err
    assert ended.err.startswith("framewatch"), ended.err
    assert ended.err.endswith("\n")
    assert "Traceback" not in ended.err + ended.out
