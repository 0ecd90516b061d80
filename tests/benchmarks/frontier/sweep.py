"""Trains, judges and remembers: what a run before this one trained with the same code is not trained again."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

import calibration
import models
from calibration.evaluation import Estimate
from models.autoencoder import Convolutional, operations
from monitor.config import Calibration
from tests.benchmarks.evaluate.figures import OWN_LIMITS, Figures, judge
from tests.benchmarks.evaluate.methods import TOGETHER, framewatch
from tests.benchmarks.evaluate.splits import Say, Split
from tests.benchmarks.frontier.networks import Candidate, configured, network_of
from tests.benchmarks.frontier.points import Point, Training, mean

RESAMPLES, RESAMPLES_QUICK = 400, 40
ROOMS: Final = tuple(Path(room.__path__[0]) for room in (models, calibration))  # what a training is made by


def fingerprint(folders: Sequence[Path]) -> str:
    """SHA-256 over the names and contents of the Python sources that lie in *folders*."""
    digest = hashlib.sha256()
    for source in (source for folder in folders for source in sorted(folder.glob("*.py"))):
        content = source.read_bytes()
        digest.update(f"{source.parent.name}/{source.name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class Memory:
    """Trainings in a JSON file, whole after every one of them; without a *path* they are kept for this run alone.

    What it adds it marks with *code*, the fingerprint of the sources, and it finds only what is marked so.
    """

    def __init__(self, path: Path | None, code: str) -> None:
        self._path, self._code = path, code
        written = path.read_bytes() if path is not None and path.is_file() else b"[]"
        self._trainings = msgspec.json.decode(written, type=list[Training])

    def find(self, study: str, settings: Calibration) -> Training | None:
        """The training with these *settings* on this *study* by this code, if there was one."""
        wanted = self._code, study, settings
        return next((one for one in self._trainings if (one.code, one.study, one.settings) == wanted), None)

    def add(self, training: Training) -> None:
        self._trainings.append(msgspec.structs.replace(training, code=self._code))
        if self._path is not None:
            scratch = self._path.with_name(self._path.name + ".part")
            scratch.write_bytes(msgspec.json.format(msgspec.json.encode(self._trainings), indent=1))
            scratch.replace(self._path)


class Trained(NamedTuple):
    """A network of the sweep and what its trainings gave."""

    candidate: Candidate
    trainings: list[Training]

    @property
    def settings(self) -> Calibration:
        """Of the first training: the others differ in their seed."""
        return self.trainings[0].settings

    @property
    def areas(self) -> dict[str, Estimate]:
        """Score -> AUROC, the mean over the trainings, as the two below."""
        return {score: mean([one.areas[score] for one in self.trainings]) for score in self.trainings[0].areas}

    @property
    def found(self) -> Estimate:
        return mean([one.found for one in self.trainings])

    @property
    def false_alarms(self) -> Estimate:
        return mean([one.false_alarms for one in self.trainings])

    @property
    def values(self) -> tuple[float, ...]:
        """AUROC of the joint score in each training."""
        return tuple(one.areas[TOGETHER].value or 0.0 for one in self.trainings)


def trained(
    split: Split, study: str, networks: Sequence[Candidate], memory: Memory, quick: bool, say: Say
) -> list[Trained]:
    """Every one of *networks* trained on *split* with each of its seeds, but for those that *memory* has."""
    figures = Figures(split, RESAMPLES_QUICK if quick else RESAMPLES)
    found = []
    for candidate in networks:
        trainings = []
        for seed in range(candidate.seeds):
            settings = configured(split.settings, candidate, seed)
            training = memory.find(study, settings)
            if training is None:
                training = _train(split, study, settings, f"{candidate.name}, seed {seed}", figures, say)
                memory.add(training)
            trainings.append(training)
        found.append(Trained(candidate, trainings))
    return found


def point(one: Trained, height: int, width: int, frame_us: float) -> Point:
    """What is known of a network for frames of *height* x *width* pixels."""
    network = network_of(one.settings, height, width)
    channels, stem_px = (), 0
    if isinstance(network, Convolutional):
        channels, stem_px = network.architecture.channels[: len(network.sizes)], network.stride
    return Point(
        name=one.candidate.name,
        settings=one.settings,
        channels=channels,
        stem_px=stem_px,
        operations=operations(network),
        frame_us=frame_us,
        areas=one.areas,
        found=one.found,
        false_alarms=one.false_alarms,
        values=one.values,
    )


def _train(split: Split, study: str, settings: Calibration, name: str, figures: Figures, say: Say) -> Training:
    judged = judge(split, [framewatch(settings, split.rate, name)], say)
    scores = {one.score: one for one in judged if one.score != OWN_LIMITS}
    return Training(
        study=study,
        settings=settings,
        areas={score: figures.area(one) for score, one in scores.items()},
        found=figures.sensitivity(scores[TOGETHER]),
        false_alarms=figures.false_alarms(scores[TOGETHER]),
    )
