import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import shared, vitals
from monitor.shared import Arrays
from monitor.types import State
from monitor.vitals import AGE_BOUNDS, HISTOGRAMS, STATES, observe_one, quantile


def some_vitals(charts: int = 2) -> Arrays:
    fields = vitals.fields(charts)
    [arrays] = shared.lay_out(bytearray(shared.size_of(fields)), fields)
    return arrays


def observe(arrays: Arrays, histogram: str, values: np.ndarray) -> None:
    for value in values.tolist():
        observe_one(arrays, histogram, value)


def test_fresh_memory_says_starting() -> None:
    assert STATES[int(some_vitals()["state"][0])] is State.STARTING


def test_every_histogram_has_a_bucket_beyond_its_last_bound() -> None:
    arrays = some_vitals()
    for name, bounds in HISTOGRAMS.items():
        assert list(bounds) == sorted(set(bounds))
        assert arrays[f"{name}_counts"].shape == (len(bounds) + 1,)


@pytest.mark.parametrize("charts", [0, 1, 5])
def test_there_is_a_place_for_each_chart(charts: int) -> None:
    assert some_vitals(charts)["chart_score"].shape == (max(charts, 1),)


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0.0, 0), (0.0005, 0), (0.00051, 1), (0.002, 2), (5.0, len(AGE_BOUNDS) - 1), (5.1, len(AGE_BOUNDS))],
)
def test_a_bound_belongs_to_the_bucket_below_it(value: float, bucket: int) -> None:
    arrays = some_vitals()
    observe(arrays, "age", np.array([value]))
    assert np.flatnonzero(arrays["age_counts"]).tolist() == [bucket]
    assert arrays["age_sum"][0] == value


@given(st.lists(st.lists(st.floats(0, 10), max_size=20), max_size=5))
def test_buckets_count_each_value_once(batches: list[list[float]]) -> None:
    arrays = some_vitals()
    for batch in batches:
        observe(arrays, "delay", np.array(batch, np.float64))
    values = [value for batch in batches for value in batch]
    assert arrays["delay_counts"].sum() == len(values)
    assert arrays["delay_sum"][0] == pytest.approx(sum(values))
    at_most = np.cumsum(arrays["delay_counts"])[:-1]
    assert at_most.tolist() == [sum(value <= bound for value in values) for bound in vitals.DELAY_BOUNDS]


@given(st.lists(st.floats(0, 5), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_never_below_the_true_one(values: list[float], q: float) -> None:
    arrays = some_vitals()
    observe(arrays, "age", np.array(values))
    assert quantile(arrays["age_counts"], AGE_BOUNDS, q) >= np.quantile(values, q, method="inverted_cdf")


def test_the_quantile_of_nothing_is_zero() -> None:
    assert quantile(some_vitals()["age_counts"], AGE_BOUNDS, 0.99) == 0.0


def test_the_quantile_of_values_beyond_all_bounds_is_the_last_bound() -> None:
    arrays = some_vitals()
    observe(arrays, "age", np.array([100.0]))
    assert quantile(arrays["age_counts"], AGE_BOUNDS, 0.99) == AGE_BOUNDS[-1]


@given(st.lists(st.integers(0, 12_000_000_000), max_size=30), st.integers(0, 30), st.booleans())
def test_times_are_counted_as_how_long_ago_they_were_less_the_least_ever(
    ago_ns: list[int], cut: int, known: bool
) -> None:
    plain, held = some_vitals(), some_vitals()
    histogram = vitals.Histogram(held, "delay")
    now_ns, least_ns = 2**60, 0 if known else 2**63 - 1
    for part in (ago_ns[:cut], ago_ns[cut:]):
        ago = np.array(part, np.int64)
        found = histogram.since(now_ns - ago, now_ns, least_ns)
        least_ns = min([least_ns, *part])
        assert found == least_ns
        observe(plain, "delay", (ago - least_ns) / 1e9)
    histogram.one(0.3)
    observe_one(plain, "delay", 0.3)
    assert held["delay_counts"].tolist() == plain["delay_counts"].tolist()
    assert held["delay_sum"][0] == pytest.approx(plain["delay_sum"][0], rel=1e-12)
