"""An embedding that is learned in a second, for frames as `frames` makes them."""

from pathlib import Path

import numpy as np
from frames import brighter, normal, with_spot

from models.embeddings import learn_invariant
from models.invariant.network import Plan
from models.invariant.training import InvariantSettings
from monitor.bundle import Bundle
from monitor.score import load_scorer
from monitor.taxonomy import embedding as files
from monitor.taxonomy.embedding import About

QUICK = InvariantSettings(Plan(side=16, content=3, channels=4, hidden=16, waves=8), max_steps=80)


def learned(path: Path, bundle: Bundle) -> Path:
    """*path*, with an embedding of what *bundle* sees of spots and flashes."""
    frames = normal(24, 3000)
    shown = np.concatenate((with_spot(frames[:12]), brighter(frames[12:])))
    residuals = load_scorer(bundle).deviations(shown).residual
    held = bundle.manifest
    about = About(
        what="", height=held.height, width=held.width, dtype=held.dtype, frames=len(shown), bundle=bundle.sha256, t_ns=1
    )
    files.write(path, about, learn_invariant(residuals, QUICK, lambda done, steps, loss: None, crop_px=20))
    return path
