"""Draws the picture of docs/taxonomy_embeddings.md, the same each time: `python -m docs.draw_turned`."""

import sys
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from models.invariant.network import Plan
from models.invariant.training import InvariantSettings, train_invariant
from tests.models.turned_glyphs import SPOTS, glyphs

PICTURE: Final = Path(__file__).parent / "pictures" / "turned.png"
SIDE: Final = 32
EACH: Final = 200  # crops of each kind that are learned from
SHOWN: Final = 6
NOISE: Final = 0.35
ZOOM: Final = 2
SETTINGS: Final = InvariantSettings(Plan(side=SIDE, content=4), epochs=100, max_steps=500, learning_rate=2e-3)


def main() -> None:
    crops, _ = glyphs(EACH, SIDE, seed=0, noise=NOISE)
    trained = train_invariant(crops, SETTINGS, lambda done, steps, loss: None)
    shown, _ = glyphs(SHOWN, SIDE, seed=1, noise=NOISE)
    drawn = trained.upright(trained.embed(shown))
    halves = [one.reshape(len(SPOTS), SHOWN, SIDE, SIDE) for one in (shown, drawn)]
    rows = [
        np.hstack([np.pad(_grey(picture), 1, constant_values=255) for half in halves for picture in half[kind]])
        for kind in range(len(SPOTS))
    ]
    picture = Image.fromarray(np.vstack(rows))
    picture.resize((picture.width * ZOOM, picture.height * ZOOM), Image.Resampling.NEAREST).save(PICTURE, optimize=True)
    sys.stdout.write(f"{PICTURE}\n")


def _grey(picture: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return (110 + 90 * picture).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    main()
