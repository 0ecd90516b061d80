"""The networks of the sweep: one thing at a time away from the default, then a few combinations."""

from typing import Any, Final, NamedTuple

import msgspec

from models.architecture import Architecture
from models.autoencoder import Network, build
from monitor.config import Calibration

DEFAULT: Final = "default"
SEEDS_DEFAULT: Final = 3  # trainings of the default: differences smaller than those between them are none

Settings = dict[str, Any]  # keys of `calibration`

HALF: Final = (8, 16, 32, 32, 32)
QUARTER: Final = (4, 8, 16, 16, 16)
TWICE: Final = (32, 64, 128, 128, 128)


class Candidate(NamedTuple):
    """A name for the tables, how the configuration differs from the data set's, and how often it is trained."""

    name: str
    changes: Settings
    seeds: int = 1


def _made_of(**network: Any) -> Settings:
    return {"network": network}


LATENTS: Final = tuple(Candidate(f"latent {size}", {"latent": size}) for size in (2, 4, 8, 16, 64, 128, 200))
LINEAR: Final = (
    Candidate("linear", _made_of(linear=True)),
    Candidate("linear, latent 8", {"latent": 8, **_made_of(linear=True)}),
    Candidate("linear, latent 128", {"latent": 128, **_made_of(linear=True)}),
)
ONE_AT_A_TIME: Final = (
    Candidate("stem 2", _made_of(stem_px=2)),
    Candidate("stem 8", _made_of(stem_px=8), SEEDS_DEFAULT),
    Candidate("a quarter of the channels", _made_of(channels=QUARTER)),
    Candidate("half the channels", _made_of(channels=HALF)),
    Candidate("twice the channels", _made_of(channels=TWICE)),
    Candidate("groups of 8", _made_of(group=8)),
    Candidate("depthwise", _made_of(group=1)),
    *LATENTS,
    *LINEAR,
)
COMBINED: Final = (
    Candidate("stem 2, one stage", _made_of(stem_px=2, channels=(16, 32))),
    Candidate("stem 2, half", _made_of(stem_px=2, channels=HALF)),
    Candidate("stem 2, quarter", _made_of(stem_px=2, channels=QUARTER)),
    Candidate("stem 2, groups of 8", _made_of(stem_px=2, group=8)),
    Candidate("stem 8, twice", _made_of(stem_px=8, channels=TWICE)),
    Candidate("depthwise, twice", _made_of(group=1, channels=TWICE)),
    Candidate("groups of 8, half", _made_of(group=8, channels=HALF)),
    Candidate("groups of 8, twice", _made_of(group=8, channels=TWICE)),
)
SEEN: Final = (  # what the network sees of a melt pool
    Candidate("binning 1", {"binning": 1}),
    Candidate("binning 4", {"binning": 4}),
    Candidate("not aligned", {"orientation": "none"}),
)
THE_DEFAULT: Final = Candidate(DEFAULT, {}, SEEDS_DEFAULT)

OF_MELT_POOLS: Final = (THE_DEFAULT, *ONE_AT_A_TIME, *SEEN, *COMBINED)
OF_STEM_IMAGES: Final = (THE_DEFAULT, *ONE_AT_A_TIME, *COMBINED)
OF_RECORDED: Final = (THE_DEFAULT, *ONE_AT_A_TIME)  # shown beside: what is combined is chosen on simulated frames
QUICK: Final = (Candidate(DEFAULT, {}, 2), ONE_AT_A_TIME[0], LATENTS[2], LINEAR[0])


def configured(base: Calibration, candidate: Candidate, seed: int) -> Calibration:
    """The configuration of *candidate*, on a data set that is calibrated as *base* otherwise."""
    network = msgspec.to_builtins(base.network) | candidate.changes.get("network", {})
    changes = candidate.changes | {"network": network, "seed": seed}
    return msgspec.convert(msgspec.to_builtins(base) | changes, Calibration)


def network_of(settings: Calibration, height: int, width: int) -> Network:
    """The network that *settings* make for frames of *height* x *width* pixels, untrained."""
    if settings.latent == "auto":
        raise ValueError("a network of the sweep has a latent of its own: give a number")
    made_of, binning = settings.network, settings.binning
    architecture = Architecture(settings.latent, made_of.channels, made_of.stem_px, made_of.group, made_of.linear)
    return build(-(-height // binning), -(-width // binning), architecture)
