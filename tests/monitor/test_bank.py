"""A bank shows the same scene again and again, with fresh noise and counts that go on."""

import numpy as np
import pytest

from monitor.camera.meltpool.bank import Bank
from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.schedule import Truth

FRAMES = 700


def bank(rate: float = 0.02, kinds: tuple[str, ...] | None = None) -> Bank:
    return Bank(MeltPool(32, 32, 3, rate, kinds), FRAMES)


def show(one: Bank, frames: int) -> tuple[np.ndarray, list[Truth], np.ndarray]:
    taken = list(one.shots(frames))
    layers = np.concatenate([np.full(len(shot.pixels), shot.layer) for shot, _ in taken])
    return np.concatenate([shot.pixels for shot, _ in taken]), [one for _, truths in taken for one in truths], layers


def test_the_first_round_is_the_film_and_the_next_ones_differ_by_noise_alone() -> None:
    film = np.concatenate([shot.pixels for shot, _ in MeltPool(32, 32, 3, 0.02).shots(FRAMES)])
    pixels, _, _ = show(bank(), 3 * FRAMES)
    np.testing.assert_array_equal(pixels[:FRAMES], film)
    rounds = pixels.reshape(3, FRAMES, 32, 32).astype(int)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (rounds[one] != rounds[other]).any(axis=(1, 2)).all()
        assert np.abs(rounds[one] - rounds[other]).mean() < 2.0


def test_truth_and_layers_count_on_from_round_to_round() -> None:
    _, truths, layers = show(bank(), 2 * FRAMES)
    first, second = ([one for one in truths if one.first_seq // FRAMES == number] for number in range(2))
    assert len(first) > 2
    assert [(one.kind, one.first_seq + FRAMES, one.last_seq + FRAMES) for one in first] == [
        (one.kind, one.first_seq, one.last_seq) for one in second
    ]
    assert {one.layer for one in first}.isdisjoint({one.layer for one in second})
    assert (np.diff(layers) >= 0).all()


@pytest.mark.parametrize("cuts", [(33, 400, 267), (1, 1, 698), (699, 1, 0)])
def test_it_goes_on_where_it_stopped(cuts: tuple[int, ...]) -> None:
    one, whole = bank(), bank()
    truths, pixels = [], []
    for cut in cuts:
        if cut:
            some, told, _ = show(one, cut)
            pixels.append(some)
            truths += told
    expected, told, _ = show(whole, FRAMES)
    assert truths == told
    assert np.abs(np.concatenate(pixels).astype(int) - expected).mean() < 2.0


def test_a_stop_within_an_anomaly_leaves_it_to_be_told() -> None:
    one = bank(0.05, ("plume",))
    truths = show(bank(0.05, ("plume",)), FRAMES)[1]
    show(one, FRAMES + truths[0].first_seq + 3)
    assert one.unfinished is not None
    assert one.unfinished.first_seq == FRAMES + truths[0].first_seq
    assert bank(0.0).unfinished is None


def test_a_frozen_sensor_shows_the_last_frame_that_it_gave_in_every_round() -> None:
    pixels, truths, _ = show(bank(0.05, ("frozen",)), 2 * FRAMES)
    assert any(one.first_seq > FRAMES for one in truths)
    for one in truths:
        frozen = pixels[one.first_seq : one.last_seq + 1]
        np.testing.assert_array_equal(frozen, np.broadcast_to(pixels[one.first_seq - 1], frozen.shape))
