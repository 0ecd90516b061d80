"""The kernels for CUDA say of residuals what operations of torch do. `TRITON_INTERPRET=1` runs them without a GPU."""

import os
from typing import Any

import numpy as np
import pytest
import torch

from models.scores import Precision
from models.step import Step
from tests.models.step_examples import example

pytest.importorskip("triton")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not (INTERPRETED or torch.cuda.is_available()), reason="no CUDA device"),
]
DEVICE = "cpu" if INTERPRETED else "cuda"


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    "what", [{}, {"window": (7, 3)}, {"window": (50, 50)}, {"size": (96, 64), "window": (6, 3)}, {"window": (1, 1)}]
)
def test_fused_statistics_are_those_of_torch(what: dict[str, Any], precision: Precision) -> None:
    from models.fused import Fused

    shown = example(**what, count=5)
    _, network, parameters = shown.folded
    plain = Step(*shown.folded, precision, DEVICE)
    plain._fused = None
    fused = Fused(
        plain._draw.center, plain._inverse_scale, network.stride, shown.trained.preparation.size, *parameters[-2:]
    )
    patches = plain._network.patches(torch.from_numpy(shown.frames).to(DEVICE).float().unsqueeze(1)).contiguous()
    seen = (patches - 100) / 57
    drawn = (0.5 * seen).to(torch.bfloat16 if precision == "bfloat16" else torch.float32)
    expected = plain._statistics(seen, drawn)
    for one, other in zip(fused(seen, drawn), expected, strict=True):
        assert one.cpu().numpy() == pytest.approx(other.cpu().numpy(), rel=1e-4, abs=1e-5)


def test_the_step_takes_the_kernels_where_there_is_a_gpu() -> None:
    step = Step(*example(count=3).folded, device=DEVICE)
    assert step.fused is not INTERPRETED


def test_windows_without_a_number_are_named_within_the_frame() -> None:
    from models.fused import Fused

    shown = example(count=3)
    _, network, parameters = shown.folded
    inverse = torch.ones((*network.grid, network.stride**2), device=DEVICE)
    fused = Fused(torch.zeros_like(inverse), inverse, network.stride, shown.trained.preparation.size, *parameters[-2:])
    seen = torch.full((3, *inverse.shape), np.nan, device=DEVICE)
    mean, power, _, peak = fused(seen, torch.zeros_like(seen))
    assert mean.isnan().all()
    assert power.isnan().all()
    rows, columns = (-(-max(side - 8, 0) // 4) + 1 for side in shown.trained.preparation.size)
    assert ((peak >= 0) & (peak < rows * columns)).all()
