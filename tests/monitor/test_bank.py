"""A bank shows the same layers again and again, with fresh noise and counts that go on."""

import itertools

import numpy as np
import pytest

from monitor.camera.meltpool.bank import Bank
from monitor.camera.meltpool.camera import PAUSE_FRAMES, MeltPool
from monitor.camera.meltpool.outline import rectangle
from monitor.camera.meltpool.scan import Strategy
from monitor.camera.publisher import Shot
from monitor.camera.schedule import Truth

SMALL = Strategy(rectangle(2.0, 0.6))
"""A part whose layers have about 320 frames."""


def pool(rate: float = 0.02, kinds: tuple[str, ...] | None = None) -> MeltPool:
    return MeltPool(32, 32, 3, rate, kinds, strategy=SMALL)


def show(camera: Bank | MeltPool, frames: int) -> tuple[np.ndarray, list[Truth], list[Shot]]:
    taken = list(camera.shots(frames))
    pixels = np.concatenate([shot.pixels for shot, _ in taken])
    return pixels, [one for _, truths in taken for one in truths], [shot for shot, _ in taken]


def round_of(layers: int) -> int:
    """The frames of the first *layers* layers."""
    film = itertools.takewhile(lambda piece: (piece[0].layer or 0) < layers, pool(0.0).shots())
    return sum(len(shot.pixels) for shot, _ in film)


@pytest.mark.parametrize(("asked", "layers"), [(1, 1), (round_of(1), 1), (round_of(1) + 1, 2), (round_of(2), 2)])
def test_a_round_is_the_first_whole_layers_of_the_film_that_hold_as_many_frames_as_asked_for(
    asked: int, layers: int
) -> None:
    frames = round_of(layers)
    film, truths, _ = show(pool(), frames)
    pixels, told, shots = show(Bank(pool(), asked), 3 * frames)
    np.testing.assert_array_equal(pixels[:frames], film)
    assert told[: len(truths)] == truths
    assert sorted({shot.layer for shot in shots}) == list(range(3 * layers))
    ends = [before for before, after in itertools.pairwise(shots) if before.layer != after.layer]
    assert {(len(shot.pixels), shot.active, shot.context) for shot in ends} == {(PAUSE_FRAMES, False, "")}


def test_rounds_differ_by_noise_alone() -> None:
    frames = round_of(2)
    rounds = show(Bank(pool(), frames), 3 * frames)[0].reshape(3, frames, 32, 32).astype(int)
    for one, other in ((0, 1), (1, 2), (0, 2)):
        assert (rounds[one] != rounds[other]).any(axis=(1, 2)).all()
        assert np.abs(rounds[one] - rounds[other]).mean() < 2.0


def test_truth_and_layers_count_on_from_round_to_round() -> None:
    frames = round_of(2)
    _, truths, shots = show(Bank(pool(0.05, ("splash", "plume")), frames), 2 * frames)
    first, second = ([one for one in truths if one.first_seq // frames == number] for number in range(2))
    assert len(first) > 3
    assert [(one.kind, one.first_seq + frames, one.last_seq + frames) for one in first] == [
        (one.kind, one.first_seq, one.last_seq) for one in second
    ]
    assert [(one.layer or 0) + 2 for one in first] == [one.layer for one in second]
    assert all((one.layer or 0) <= (other.layer or 0) for one, other in itertools.pairwise(shots))


@pytest.mark.parametrize("recoat_s", [0.0, 0.7])
@pytest.mark.parametrize("cut", [1, 100, 5000])
def test_every_layer_but_the_first_begins_with_one_pause_wherever_the_film_is_cut(recoat_s: float, cut: int) -> None:
    bank = Bank(MeltPool(16, 16, 3, strategy=SMALL, recoat_s=recoat_s), round_of(2))
    shots = [shot for _ in range(0, 1600, cut) for shot, _ in bank.shots(min(cut, 1600))]
    for layer, own in itertools.groupby(shots, lambda shot: shot.layer or 0):
        first, *others = own
        assert first.pause_s == (recoat_s if layer else 0.0)
        assert {shot.pause_s for shot in others} == {0.0}
    assert layer > 3


def test_a_stop_within_an_anomaly_leaves_it_to_be_told() -> None:
    frames = round_of(1)
    truths = show(Bank(pool(0.05, ("plume",)), frames), frames)[1]
    bank = Bank(pool(0.05, ("plume",)), frames)
    assert bank.unfinished is None
    show(bank, frames + truths[0].first_seq + 3)
    assert bank.unfinished is not None
    assert bank.unfinished.first_seq == frames + truths[0].first_seq
    assert bank.unfinished.last_seq == frames + truths[0].last_seq


def test_an_anomaly_that_the_end_of_a_layer_cuts_short_is_told_though_the_film_stops_right_there() -> None:
    frames = round_of(1)
    bank = Bank(MeltPool(16, 16, 3, 0.05, ("defocus",), strategy=SMALL), frames)
    show(bank, frames - PAUSE_FRAMES)
    assert bank.unfinished is not None
    assert bank.unfinished.last_seq == frames - PAUSE_FRAMES - 1
    assert show(bank, 1)[1]
    assert bank.unfinished is None


def test_a_frozen_sensor_shows_the_last_frame_that_it_gave_in_every_round() -> None:
    frames = round_of(2)
    pixels, truths, _ = show(Bank(pool(0.05, ("frozen",)), frames), 2 * frames)
    assert any(one.first_seq > frames for one in truths)
    for one in truths:
        frozen = pixels[one.first_seq : one.last_seq + 1]
        np.testing.assert_array_equal(frozen, np.broadcast_to(pixels[one.first_seq - 1], frozen.shape))


@pytest.mark.parametrize(("side", "most"), [(576, 3236), (120, 74565)])
def test_a_bank_beyond_the_memory_of_a_plain_machine_is_refused_before_anything_is_computed(
    side: int, most: int
) -> None:
    camera = MeltPool(side, side)
    for frames in (0, most + 1):
        with pytest.raises(ValueError, match=f"a bank of {frames} frames of {side} x {side}: 1 to {most} fit into 4"):
            Bank(camera, frames)
    assert next(camera.takes()).first_seq == 0, "nothing was taken from the film"
