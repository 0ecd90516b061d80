"""How a calibration goes: the section `calibration` of the configuration, every key with what it means."""

from typing import Annotated, Literal

import msgspec

from calibration.family import Method
from monitor.types import Precision

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are refused."""


class Network(_Section, frozen=True):
    """What the network is made of."""

    channels: tuple[Count, ...] = (16, 32, 64, 64, 64)
    """Channels of the stem and of each stage of stride 2; small frames use the first ones only."""
    stem_px: Count | None = None
    """A side of the patches that the stem takes together; without it 4, for frames under 32 px 2, and 8 where 4 would
    cost more than half a core at the frame rate."""
    group: Count | None = None
    """Channels that each 3 x 3 convolution sees; 1 is depthwise, without it all."""
    linear: bool = False
    """One matrix down and one up, like principal components: fastest, for frames that hardly vary."""


class Calibration(_Section, frozen=True):
    """How `framewatch calibrate` trains the network and sets the limits."""

    latent: Annotated[int, msgspec.Meta(ge=1, le=256)] | Literal["auto"] = 32
    """Size of the bottleneck; it needs two more training frames, better fifty times as many. `auto` tries sizes."""
    network: Network = Network()
    epochs: Count = 60
    """Passes over the training frames (a cap on optimiser steps shortens this for large sets)."""
    max_steps: Count = 4000
    """Most optimiser steps."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Threads of torch; the weights depend on their number, and networks as small as these gain little by more."""
    seed: Annotated[int, msgspec.Meta(ge=0)] = 0
    """The same seed and frames give the same bundle."""
    precision: Literal["auto"] | Precision = "auto"
    """In which the decoder draws. `auto`: bfloat16 where that is quicker and rounding moves no chart's scores by more
    than 1 % of the way from their mean to the limit, else float32."""
    loss: Literal["squared", "poisson"] = "squared"
    """What the network minimises; `poisson` for detectors that count."""
    noise: NotNegative = 0.1
    """Noise added to what the network learns to draw, in standard deviations of a frame's pixels."""
    dimming: Annotated[float, msgspec.Meta(ge=0, lt=1)] | Literal["auto"] = "auto"
    """Largest change of light, as a share, that the network learns to undo, so that wrong brightness shows. `auto`: 0.2
    of aligned melt pools, else none."""
    brightness: NotNegative = 0.0
    """Most that a training frame is brightened or darkened, in the same unit: what is to count as normal."""
    contrast: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """Largest share by which the contrast of a training frame is changed."""
    sparsity: NotNegative = 0.0
    """Weight of a penalty on latents that are all used in every frame."""
    variational: bool = False
    """Train a variational autoencoder; T2 is then taken of the posterior's mean."""
    binning: Annotated[int, msgspec.Meta(ge=1, le=8)] | Literal["auto"] = "auto"
    """Pixels a side averaged to one before the network sees them: 2 costs a quarter of the time. `auto`: melt pools."""
    orientation: Literal["auto", "none", "augment", "align"] = "auto"
    """`align` turns each melt pool to one direction, `augment` trains on turned copies, `auto` aligns melt pools."""
    tile_px: Annotated[int, msgspec.Meta(ge=16, le=576)] | None = None
    """Frames are judged as square tiles of so many pixels a side, each as a frame; without it whole, up to 576 px."""
    tile_overlap: Annotated[float, msgspec.Meta(ge=0.125, le=0.75)] = 0.125
    """Share of a tile's side that neighbours have in common: a spot of that size lies wholly in one of them."""
    false_alarms_per_hour: Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)] | None = 1.0
    """False events that are to be borne in an hour of judged frames; null: limits are per frame."""
    conservative: bool = False
    """Take the upper 90 % bound of the limit: the budget is then kept with that confidence, not on average."""
    false_stops_per_hour: Annotated[float, msgspec.Meta(ge=1e-6, le=1e6)] | None = None
    """False events to be borne, in an hour of judged frames, that withhold the permit: by a limit and a rule of
    their own. null: every event of the charts withholds it, as `permit.withhold_priorities` has it."""
    stop_k: Count = 5
    """Exceedances of the stop limit that make a stop ..."""
    stop_n: Count = 8
    """... among so many consecutive judged frames."""
    memories_s: Annotated[tuple[Positive, ...], msgspec.Meta(max_length=5)] = (0.1, 1.0, 10.0)
    """How long each memory of the chart `mewma` lasts, in seconds of judged frames; those that the held-out frames
    cannot support are left out."""
    mewma_limit: Literal["budget", "independent"] = "budget"
    """`independent`: the textbook's limit, for cameras whose frames remember nothing of each other."""
    false_alarm_rate: Annotated[float, msgspec.Meta(gt=0, le=0.1)] = 0.001
    """Share of single in-control frames over a warning limit; where no budget can be kept (too few frames, images
    without a frame rate), over the limits that raise events."""
    limit: Method = "auto"
    """How limits of single frames (the warning limits, where there is a budget) are set: conformal, pot (peaks over
    threshold), kde, or f (the textbook limit of T2). `auto`: conformal where ten independent frames lie beyond."""
    held_out: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.34
    """Share of the groups (of the frames, where there is one group) that is kept from training to set the limits."""

    def __post_init__(self) -> None:
        if self.tile_px is not None and self.orientation == "align":
            raise ValueError("orientation align turns one melt pool a frame, and a tile holds none: leave out tile_px")
        if self.stop_k > self.stop_n:
            raise ValueError(f"stop_k is {self.stop_k} but stop_n is only {self.stop_n}: it must not exceed it")
        stops, alarms = self.false_stops_per_hour, self.false_alarms_per_hour
        if stops is not None and (alarms is None or stops > alarms):
            asked = "null" if alarms is None else f"{alarms:g}"
            raise ValueError(
                f"false_stops_per_hour is {stops:g}, false_alarms_per_hour {asked}: a machine is to stop no more often "
                "than someone is called"
            )
