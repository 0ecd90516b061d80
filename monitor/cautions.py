"""What a person should know before a bundle is used: of its limits, and of the frames that set them."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from calibration.budget import TAIL_PARTS
from calibration.camera import CHUNK, FAULTS, CameraLimits, CameraState, check
from calibration.limits import context_frames_needed
from calibration.suspects import suspects
from monitor.camera.recordings import Recording, constant_frames
from monitor.limits import Limiting
from monitor.split import Split, place

Floats = npt.NDArray[np.floating[Any]]

SUSPECT_SHARE: Final = 0.005
"""Of the held-out frames that stand out: more, and a person is asked to look before trusting the limits."""


def about_limits(found: Limiting, rate: float, contexts: npt.NDArray[np.str_]) -> list[str]:
    """What to know of limits per frame, and of contexts without their own; *contexts* (m,) are of held-out frames."""
    limits, told = found.limits, []
    for context, (limit, *_) in {"": limits.pooled, **limits.own}.items() if found.budget is None else ():
        if limit.extrapolated:
            told.append(
                f"{limit.frames} held-out frames{context and f' of context {context}'} cannot support a rate of "
                f"{limit.rate:.2g}: the limits are extrapolated; they say as much as {limit.effective_frames:.0f} "
                f"independent ones, of which {int(np.ceil(10 / limit.rate))} would support them"
            )
    counts = dict(zip(*np.unique(contexts, return_counts=True), strict=True))
    # Under a budget a fifth of the frames sets a context's scale.
    needed = context_frames_needed(rate) * (1 if found.budget is None else TAIL_PARTS)
    few = [context for context in counts if context and context not in limits.own and len(counts) > 1]
    return told + [
        f"context {context} has the limits of all contexts pooled: its {counts[context]} held-out frames are too few "
        f"for limits of its own; give {needed} or more"
        for context in few
    ]


def about_frames(parts: Split, values: Floats, contexts: npt.NDArray[np.str_]) -> list[str]:
    """Which frames to look at; *values* (m, charts) and *contexts* (m,) are of the held-out ones."""
    found = []
    odd = np.zeros(len(values), np.bool_)
    for context in np.unique(contexts):  # a context that is unlike the others does not stand out by that
        odd[contexts == context] = suspects(values[contexts == context])
    suspect = np.flatnonzero(odd)
    if len(suspect) > SUSPECT_SHARE * len(values):
        found.append(
            f"{len(suspect)} of {len(values)} held-out frames stand out from the others (the first is "
            f"{place(parts.limits, int(suspect[0]))}): look at them; if they are not normal the limits are too loose, "
            "so calibrate without them (--exclude)"
        )
    for recording in (*parts.train, *parts.limits):
        constant = constant_frames(recording.frames)
        if constant:
            found.append(
                f"{recording.name}: {len(constant)} frames are constant (the first is number {constant[0]}): was the "
                "camera covered? They were used as they are"
            )
    return found


def about_faults(recordings: Sequence[Recording], limits: CameraLimits) -> list[str]:
    """Held-out frames that the daemon would take for a fault of the camera, and leave unjudged."""
    told = []
    for recording in recordings:
        state, codes = CameraState(), []
        for first in range(0, len(recording.frames), CHUNK):
            state, found = check(limits, state, recording.frames[first : first + CHUNK])
            codes.append(found)
        faults = np.concatenate(codes)
        for code in np.unique(faults[faults > 0]).tolist():
            those = np.flatnonzero(faults == code)
            told.append(
                f"{recording.name}: {len(those)} frames are a fault of the camera ({FAULTS[code - 1]}, the first is "
                f"number {those[0]}): the daemon judges no such frames, and they set limits as they are; leave them "
                "out (--exclude), or give the recording without them"
            )
    return told
