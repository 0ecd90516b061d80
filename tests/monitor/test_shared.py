"""Arrays of several parts in one piece of memory: they never overlap, and every process finds the same ones."""

import os
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.shared import ALIGNMENT, Fields, attach, create, lay_out, size_of

VITALS: Fields = {"beat_ns": ("i8", (1,)), "why": ("S200", (1,)), "flag": ("u1", (3,))}
RING: Fields = {"pixels": ("u2", (4, 8, 6)), "seq": ("i8", (4,))}


def test_what_one_process_writes_another_reads() -> None:
    fd = create(size_of(VITALS, RING))
    try:
        [vitals, ring], [others_vitals, others_ring] = attach(fd, VITALS, RING), attach(fd, VITALS, RING)
        vitals["beat_ns"][0] = 7
        vitals["why"][0] = b"loading"
        ring["pixels"][2] = 9
        assert (others_vitals["beat_ns"][0], others_vitals["why"][0]) == (7, b"loading")
        assert others_ring["pixels"][2].tolist() == np.full((8, 6), 9).tolist()
        assert others_ring["pixels"][[0, 1, 3]].sum() == 0
    finally:
        os.close(fd)


def test_memory_begins_as_zeros_and_outlives_its_descriptor() -> None:
    fd = create(size_of(VITALS))
    [vitals] = attach(fd, VITALS)
    os.close(fd)
    assert not vitals["flag"].any()
    vitals["flag"][:] = 1
    assert vitals["flag"].sum() == 3


def test_processes_that_disagree_about_the_layout_find_out() -> None:
    fd = create(size_of(VITALS))
    try:
        with pytest.raises(ValueError, match="too small for a layout"):
            attach(fd, VITALS, RING)
    finally:
        os.close(fd)


def test_a_part_without_elements_takes_no_memory() -> None:
    empty: Fields = {"limits": ("f8", (0,))}
    assert size_of(VITALS, empty) == size_of(VITALS)
    [_, found] = lay_out(bytearray(size_of(VITALS, empty)), VITALS, empty)
    assert found["limits"].shape == (0,)


FIELDS = st.dictionaries(
    st.text("abc", min_size=1, max_size=3),
    st.tuples(st.sampled_from(["u1", "u2", "f4", "i8", "S5"]), st.lists(st.integers(0, 5), max_size=3).map(tuple)),
    max_size=4,
)


@given(parts=st.lists(FIELDS, min_size=1, max_size=3))
def test_no_two_arrays_overlap_and_all_are_aligned(parts: list[Fields]) -> None:
    memory = bytearray(size_of(*parts))
    found = lay_out(memory, *parts)
    ends = [0]
    start = np.frombuffer(memory, np.uint8).ctypes.data if memory else 0
    for fields, arrays in zip(parts, found, strict=True):
        assert list(arrays) == list(fields)
        for name, (dtype, shape) in fields.items():
            array = arrays[name]
            assert (array.dtype, array.shape, array.size) == (np.dtype(dtype), shape, prod(shape))
            if array.size:
                offset = array.ctypes.data - start
                assert offset % ALIGNMENT == 0
                assert offset >= ends[-1]
                ends.append(offset + array.nbytes)
    assert ends[-1] <= len(memory)
