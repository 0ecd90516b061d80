"""Trains, judges and remembers: what a run before this one trained is not trained again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from models.autoencoder import Convolutional, operations
from monitor.config import Calibration
from tests.benchmarks.evaluate.figures import OWN_LIMITS, Figures, judge
from tests.benchmarks.evaluate.methods import TOGETHER, framewatch
from tests.benchmarks.evaluate.splits import Say, Split
from tests.benchmarks.frontier.networks import Candidate, configured, network_of
from tests.benchmarks.frontier.points import Point, Training, mean

RESAMPLES, RESAMPLES_QUICK = 400, 40


class Memory:
    """Trainings in a JSON file, whole after every one of them; without a *path* they are kept for this run alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        written = path.read_bytes() if path is not None and path.is_file() else b"[]"
        self._trainings = msgspec.json.decode(written, type=list[Training])

    def find(self, study: str, settings: Calibration) -> Training | None:
        """The training with these *settings* on this *study*, if there was one."""
        return next((one for one in self._trainings if (one.study, one.settings) == (study, settings)), None)

    def add(self, training: Training) -> None:
        self._trainings.append(training)
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
        areas={score: mean([training.areas[score] for training in one.trainings]) for score in one.trainings[0].areas},
        found=mean([training.found for training in one.trainings]),
        false_alarms=mean([training.false_alarms for training in one.trainings]),
        values=tuple(training.areas[TOGETHER].value or 0.0 for training in one.trainings),
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
