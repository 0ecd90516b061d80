"""Deviations from a centre, rounded as torch rounds to bfloat16."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.compiled.rounding import deviation, next_deviation

FLOATS = st.floats(-1e4, 1e4, width=32)


def bits(x: torch.Tensor) -> np.ndarray:
    return x.view(torch.uint16).numpy()


@given(st.lists(FLOATS, min_size=6, max_size=6), st.lists(FLOATS, min_size=3, max_size=3))
def test_the_code_deviates_behind_its_rectifier(code: list[float], center: list[float]) -> None:
    z, around = torch.tensor(code).view(2, 3), torch.tensor(center)
    out = torch.empty(2, 3, dtype=torch.bfloat16)
    deviation(z.numpy(), around.numpy(), bits(out))
    assert torch.equal(out, (torch.relu(z) - torch.relu(around)).bfloat16())


def test_what_a_layer_draws_is_cropped_added_to_its_center_and_rectified() -> None:
    drawn = torch.randn(3, 6, 8, 4, generator=torch.Generator().manual_seed(0)).bfloat16()
    center = torch.randn(5, 7, 4, generator=torch.Generator().manual_seed(1))
    out = torch.empty(3, 5, 7, 4, dtype=torch.bfloat16)
    next_deviation(bits(drawn), center.numpy(), bits(out))
    assert torch.equal(out, (torch.relu(drawn[:, :5, :7].float() + center) - torch.relu(center)).bfloat16())


def test_what_is_not_finite_stays_so() -> None:
    code = torch.tensor([[float("nan"), float("inf"), 3.4e38]])
    out = torch.empty(1, 3, dtype=torch.bfloat16)
    deviation(code.numpy(), np.zeros(3, np.float32), bits(out))
    assert out[0].isnan().tolist() == [True, False, False]
    assert out[0].isinf().tolist() == [False, True, True]
