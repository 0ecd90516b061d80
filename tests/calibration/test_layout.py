"""Arrays are copied where a compiled loop could not take them as they are, and only there."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibration.layout import distinct, laid_out


def test_an_array_that_lies_right_is_not_copied() -> None:
    array = np.zeros((3, 4))
    assert laid_out(array, np.float64) is array


@pytest.mark.parametrize("kind", ["transposed", "strided", "read-only", "float32"])
def test_any_other_is_copied_to_one_piece(kind: str) -> None:
    array = np.arange(12.0).reshape(3, 4)
    fixed = array.copy()
    fixed.setflags(write=False)
    given_array = {"transposed": array.T, "strided": array[:, ::2], "read-only": fixed, "float32": array.astype("f4")}
    found = laid_out(given_array[kind], np.float64)
    assert found.flags.carray
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, given_array[kind])


@given(st.lists(st.sampled_from([b"", b"a", b"ab", b"abc", "ä".encode()]), max_size=8), st.integers(1, 3))
def test_names_are_told_once_each_in_their_order(names: list[bytes], step: int) -> None:
    contexts = np.array(names, "S4")[::step]
    assert distinct(contexts) == list(dict.fromkeys(contexts.tolist()))
