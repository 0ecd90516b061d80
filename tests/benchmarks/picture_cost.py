"""What a live picture costs the process that draws, and how large it is:

    python -m tests.benchmarks.picture_cost --size 64 --size 192 --size 512

Frames of melt pools as they come, neither binned nor turned, so that pictures are as large as frames of that size can
make them. Milliseconds of one thread's processor time, the best of seven rounds: the network with what is seen and
drawn, the three PNG, all of a Picture to its JSON; and its bytes. Beside it the PNG by another compression of zlib.
"""

import argparse
import sys

import msgspec

from calibration import charts
from models.architecture import Architecture
from models.autoencoder import fresh
from models.preparer import fit_preparation
from models.scorer import Scorer
from models.tensors import ChartParameters
from models.trained import Trained, scorer_of
from models.training import latents_and_residuals
from monitor.camera.meltpool.camera import normal_frames
from monitor.viewer import drawing
from monitor.viewer.picture import Picture
from tests.benchmarks.scoring_cost import microseconds

SIZES = 64, 192, 512
COMPRESSIONS = 1, 6
FRAMES, SHOWN = 40, 4


def made(side_px: int) -> Scorer:
    """A scorer of an untrained network, which costs what a trained one does."""
    frames = normal_frames(FRAMES, 3, side_px, side_px)
    preparation = fit_preparation(frames)
    trained = Trained(fresh(*preparation.size, Architecture(stem_px=8), 0), preparation, ())
    parameters = ChartParameters(*charts.fit(lambda: latents_and_residuals(trained, frames))[:7])
    return scorer_of(trained, parameters)


def picture_of(drawn: drawing.Drawn) -> bytes:
    told = {"t2": (12.5, 40.25), "s2": (1.25, 2.5), "offset": (0.5, 4.5), "local": (9.75, 20.5)}
    facts = {"seq": 10**6, "stream": "stream-1", "t_ns": 10**18, "layer": 12, "job": "part", "context": "hatch"}
    return msgspec.json.encode(
        Picture(**facts, xy=(1.5, 2.5), ratio=0.75, source="local", scores=told, **drawn._asdict())  # type: ignore[arg-type]
    )


def measure(side_px: int) -> str:
    scorer, frames = made(side_px), normal_frames(SHOWN, 5, side_px, side_px)
    pictures = scorer.pictures(frames[:1])
    found = []
    for compression in COMPRESSIONS:
        drawing.COMPRESSION = compression  # type: ignore[misc]  # to be compared
        png_ms = microseconds(lambda: drawing.draw(pictures), 1) / 1e3
        whole_ms = microseconds(lambda: picture_of(drawing.draw(scorer.pictures(frames[:1]))), 1) / 1e3
        size = len(picture_of(drawing.draw(pictures)))
        found.append(f"compression {compression}: PNG {png_ms:.2f} ms, all {whole_ms:.2f} ms, {size / 1000:.0f} kB")
    network_ms = microseconds(lambda: scorer.pictures(frames[:1]), 1) / 1e3
    return f"{side_px} px: network {network_ms:.2f} ms · {' · '.join(found)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, action="append", help="side of a frame, px")
    for side_px in parser.parse_args().size or SIZES:
        sys.stdout.write(f"{measure(side_px)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
