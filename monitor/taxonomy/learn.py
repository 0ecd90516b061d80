"""`framewatch taxonomy learn`: an embedding by which kinds are told apart, from frames of events that a daemon kept or
from recorded ones.

It runs at nice 19 and in one thread, so that a daemon on the same machine judges on, and the same frames and seed give
the same embedding.
"""

import argparse
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from models.scorer import Scorer
from monitor import config as configs
from monitor import screen
from monitor.bundle import Bundle
from monitor.bundle import read as read_bundle
from monitor.camera.recordings import groups
from monitor.config import Config
from monitor.operators.reach import AlarmError
from monitor.operators.show import as_json
from monitor.score import load_scorer, require_fit
from monitor.taxonomy import embedding as files
from monitor.taxonomy.embedding import About
from monitor.taxonomy.store import WAIT_S, Store, beside
from monitor.types import Pixels
from monitor.yamlfile import ConfigError

if TYPE_CHECKING:
    from models.embeddings import Embedding
    from models.invariant.training import InvariantSettings

DONE: Final = 0
NICE: Final = 19
AT_ONCE: Final = 32  # frames whose residuals are made together
STEPS: Final = 600
FRAMES_MIN: Final = {"invariant": 16, "texture": 2, "backbone": 0}
"""Fewer frames teach nothing that could be used."""

Progress = Callable[[int, int, float], None]


class Learned(msgspec.Struct, frozen=True):
    """What the command tells with --json."""

    file: str
    sha256: str
    embedding: str
    numbers: int  # that a frame becomes
    frames: int  # that it was learned from
    left_out: int  # kept frames that the bundle does not judge
    bundle: str  # sha256
    seconds: float


class Shown(NamedTuple):
    """What is learned from."""

    frames: Pixels  # (n, h, w)
    left_out: int
    where: str  # for messages


def learn(options: argparse.Namespace) -> int:
    began_s = time.monotonic()
    _require(options)
    config = configs.read(Path(options.config))
    if config.bundle is None:
        raise ConfigError(f"{options.config}: names no bundle; an embedding is made of what one sees")
    bundle = read_bundle(Path(config.bundle))
    shown = _recorded(bundle, options.paths) if options.paths else _kept(config, bundle)
    least = FRAMES_MIN[options.embedding]
    if len(shown.frames) < least:
        raise AlarmError(
            f"{shown.where}: {len(shown.frames)} frames that the bundle judges, and {options.embedding} takes {least} "
            "or more: let the daemon find more events, or name recorded frames with --from"
        )
    if not options.json:
        screen.say(f"{len(shown.frames)} frames from {shown.where}" + _also(shown))
    os.nice(NICE)
    with screen.training() as move:
        embedding = _learned(
            options, bundle, shown.frames, lambda done, steps, loss: move(done, steps, loss, "training")
        )
    held = bundle.manifest
    about = About(
        what=embedding.what, height=held.height, width=held.width, dtype=held.dtype, frames=len(shown.frames),
        bundle=bundle.sha256, t_ns=time.time_ns(),
    )  # fmt: skip
    out = Path(options.out)
    files.write(out, about, embedding)
    found = Learned(
        str(out), files.about(out)[1], embedding.what, embedding.size, len(shown.frames), shown.left_out, bundle.sha256,
        time.monotonic() - began_s,
    )  # fmt: skip
    if options.json:
        as_json(found)
        return DONE
    screen.say(f"{out}: {embedding.what}, {embedding.size} numbers a frame, in {found.seconds:.0f} s")
    screen.say(f"to tell kinds apart by it, write into {options.config}, and restart the daemon:")
    screen.say(f"taxonomy:\n  embedding: {_seen_from(Path(options.config), out)}")
    return DONE


def _require(options: argparse.Namespace) -> None:
    """Raises ConfigError for arguments that make no sense together."""
    backbone = options.embedding == "backbone"
    if backbone and not (options.network and options.weights):
        raise ConfigError("a backbone needs --network NAME and --weights FILE: nothing is fetched")
    if not backbone and (options.network or options.weights):
        raise ConfigError(
            f"--network and --weights are for a backbone; {options.embedding} is learned from frames alone"
        )
    if options.embedding != "invariant" and (options.steps or options.contents):
        raise ConfigError(
            f"--steps and --contents are for the invariant embedding; leave them out with {options.embedding}"
        )


def _kept(config: Config, bundle: Bundle) -> Shown:
    """The frames of events beside the journal that the bundle judges."""
    path = beside(Path(config.journal))
    if not path.exists():
        raise AlarmError(f"{path}: is not there: no daemon has kept frames of events; name recorded ones with --from")
    held = bundle.manifest
    store = Store(path, config.camera, wait_s=WAIT_S, read_only=True)
    try:
        samples = store.samples("normal = 0")
        fitting = [
            one for one in samples if (one.height, one.width, one.dtype) == (held.height, held.width, held.dtype)
        ]
        found = [pixels for one in fitting if (pixels := store.pixels(one.id)) is not None]
    except sqlite3.Error as error:
        raise AlarmError(f"{path}: {error}") from None
    finally:
        store.close()
    frames = np.stack(found) if found else np.empty((0, held.height, held.width), held.dtype)
    return Shown(frames, len(samples) - len(fitting), str(path))


def _recorded(bundle: Bundle, paths: Sequence[str]) -> Shown:
    """All frames of *paths*. Raises RecordingError where the bundle does not judge them."""
    recordings = groups(paths)
    require_fit(bundle, recordings)
    where = paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"
    return Shown(np.concatenate([one.frames for one in recordings]), 0, where)


def _also(shown: Shown) -> str:
    return f"; {shown.left_out} more are of another size or type than the bundle judges" if shown.left_out else ""


def _learned(options: argparse.Namespace, bundle: Bundle, frames: Pixels, progress: Progress) -> "Embedding":
    """Raises AlarmError where *frames* or weights are of no use, OSError where weights cannot be read."""
    import torch

    from models import embeddings
    from models.backbone import load_backbone, span_of

    torch.set_num_threads(1)
    try:
        if options.embedding == "backbone":
            span = span_of(frames) if len(frames) else (0.0, 255.0)
            return embeddings.of_backbone(
                load_backbone(options.network, Path(options.weights), options.library, span=span)
            )
        if options.embedding == "texture":
            return embeddings.learn_texture(frames)
        return embeddings.learn_invariant(_residuals(load_scorer(bundle), frames), _settings(options), progress)
    except ValueError as error:
        raise AlarmError(str(error)) from None


def _settings(options: argparse.Namespace) -> "InvariantSettings":
    from models.invariant.network import Plan
    from models.invariant.training import InvariantSettings

    steps, plan = options.steps or STEPS, Plan()
    plan = plan if options.contents is None else plan._replace(content=options.contents)
    return InvariantSettings(plan, epochs=steps, max_steps=steps, seed=options.seed)  # an epoch is a step at least


def _residuals(scorer: Scorer, frames: Pixels) -> npt.NDArray[np.float32]:
    """What *scorer* finds beyond what is normal, of those of *frames* that are finite."""
    found = [scorer.deviations(frames[first : first + AT_ONCE]).residual for first in range(0, len(frames), AT_ONCE)]
    residuals = np.concatenate(found)
    return residuals[np.isfinite(residuals).all(axis=(1, 2))]


def _seen_from(config: Path, file: Path) -> str:
    """*file* as the configuration may name it: beside itself, or whole."""
    here, file = config.resolve().parent, file.resolve()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)
