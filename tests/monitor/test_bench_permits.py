"""Black frames and the words about the permit that follow them."""

import pytest

from monitor.bench.permits import Heard, falls_after

YES, NO = True, False


@pytest.mark.parametrize(
    ("dark_ns", "heard", "delays"),
    [
        ([100], [(50, YES), (103, NO)], [3]),
        ([100], [(50, YES), (101, YES), (107, NO), (110, NO)], [7]),  # a word that was on its way
        ([100, 200], [(50, YES), (104, NO), (150, YES), (205, NO)], [4, 5]),
        ([100, 200], [(50, YES), (104, NO), (205, NO)], [4]),  # not given back in time for the second
        ([100, 200], [(50, YES), (205, NO)], [5]),  # the fall belongs to the second
        ([100], [(104, NO)], []),  # nobody knows whether it was given before
        ([100], [(50, NO), (104, NO)], []),
        ([100], [(50, YES)], []),
        ([100], [], []),
        ([], [(50, YES)], []),
    ],
)
def test_a_fall_is_told_from_the_frame_that_made_it(
    dark_ns: list[int], heard: list[tuple[int, bool]], delays: list[int]
) -> None:
    words = [Heard(at_ns, given) for at_ns, given in heard]
    assert falls_after(list(enumerate(dark_ns)), words) == delays
