"""An embedding that is learned in a second, for frames as `frames` makes them."""

from pathlib import Path

import numpy as np
from frames import brighter, normal, with_spot
from taxonomy_example import kept

from models.embeddings import learn_invariant
from models.invariant.network import Plan
from models.invariant.training import InvariantSettings
from monitor.bundle import Bundle
from monitor.score import load_scorer
from monitor.taxonomy import embedding as files
from monitor.taxonomy.embedding import About
from monitor.taxonomy.records import Kept

QUICK = InvariantSettings(Plan(side=16, content=3, channels=4, hidden=16, waves=8), max_steps=80)


SPOTS, FLASHES = 30, 30


def spots_and_flashes() -> list[Kept]:
    """Events of two kinds, the spots first, each in a run of its own: numbered from 1."""
    frames = np.concatenate([normal(1, 1000 + number) for number in range(SPOTS + FLASHES)])
    shown = np.concatenate((with_spot(frames[:SPOTS]), brighter(frames[SPOTS:])))
    return [kept(number + 1, frame) for number, frame in enumerate(shown)]


def learned(path: Path, bundle: Bundle) -> Path:
    """*path*, with an embedding of what *bundle* sees of spots and flashes."""
    frames = np.concatenate([normal(1, 3000 + number) for number in range(48)])
    shown = np.concatenate((with_spot(frames[:24]), brighter(frames[24:])))
    residuals = load_scorer(bundle).deviations(shown).residual
    held = bundle.manifest
    about = About(
        what="", height=held.height, width=held.width, dtype=held.dtype, frames=len(shown), bundle=bundle.sha256, t_ns=1
    )
    files.write(path, about, learn_invariant(residuals, QUICK, lambda done, steps, loss: None, crop_px=20))
    return path
