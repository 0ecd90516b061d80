"""The frames of a melt pool's truth are those in which something is seen: neither more nor fewer.

By its twin: the same run without anomalies, frame by frame, before noise.
"""

import itertools
from typing import Any, NamedTuple

import numpy as np
import pytest

from monitor.camera.meltpool.anomalies import DURATIONS_FRAMES, SETTLING_FRAMES, Weld, disturb
from monitor.camera.meltpool.camera import FRAME_S, STRATEGY, MeltPool, Take
from monitor.camera.meltpool.outline import rectangle
from monitor.camera.meltpool.scan import Strategy
from monitor.camera.schedule import Event, Truth

Array = np.ndarray[Any, np.dtype[Any]]


class Twins(NamedTuple):
    """A film beside the same one without its anomalies."""

    distance: Array  # (n,) of each frame from its twin, in standard deviations of its noise
    added: Array  # (n,) grey levels that a frame has on top of its twin, on average
    active: Array  # (n,)
    context: Array  # (n,)
    truths: list[Truth]


def twins(kind: str, seed: int, frames: int = 1000, strategy: Strategy = STRATEGY, side: int = 32) -> Twins:
    odd, plain = (_takes(MeltPool(side, side, seed, rate, (kind,), strategy=strategy), frames) for rate in (0.02, 0.0))
    distance, added = [], []
    for one, other in zip(odd, plain, strict=True):
        step = one.exposed.level.astype(float) - other.exposed.level
        distance += list(np.sqrt(np.square(step / other.exposed.deviation).sum(axis=(1, 2))))
        added += list(step.mean(axis=(1, 2)) / 64)
    active, context = (
        np.concatenate([np.full(len(take.exposed.level), getattr(take.facts, name)) for take in odd])
        for name in ("active", "context")
    )
    return Twins(np.array(distance), np.array(added), active, context, [truth for take in odd for truth in take.truths])


def _takes(pool: MeltPool, frames: int) -> list[Take]:
    return list(itertools.takewhile(lambda take: take.first_seq < frames, pool.takes()))


@pytest.mark.parametrize("kind", ["keyhole", "lack_of_fusion", "balling", "plume", "spatter", "splash"])
def test_what_an_anomaly_does_is_seen_from_its_first_frame_to_its_last_and_no_longer(kind: str) -> None:
    """Of anomalies between two normal frames of the same vector; what is a seventh as clear is lost in the wander."""
    first, within, last, after = [], [], [], []
    for seed in range(6):
        film = twins(kind, seed)
        flags = np.zeros(len(film.distance), bool)
        for truth in film.truths:
            begin, end = truth.first_seq, truth.last_seq
            flags[begin : end + 20] = True  # heat is remembered for long, and the faintest of it is not yet nothing
            if film.active[begin - 1 : begin + 1].all():
                first.append(film.distance[begin])
            if film.active[end - 2 : end + 3].all():
                held = slice(begin, end + 1)
                within += list(film.distance[held][film.active[held]])
                last.append(film.distance[end])
                after.append(film.distance[end + 1 : end + 3].max())
        running = film.distance[: film.truths[-1].last_seq][~flags[: film.truths[-1].last_seq]]
        assert np.median(running) < 0.5
    clear = np.median(within)
    assert len(last) > 8
    assert np.median(first) > 0.3 * clear
    assert np.median(last) > 0.12 * clear
    assert np.median(after) < 0.15 * clear
    assert np.median(after) < 0.6 * np.median(last)


@pytest.mark.parametrize("kind", ["spatter", "splash"])
def test_nothing_glows_beside_the_pool_while_the_laser_is_off(kind: str) -> None:
    met = 0
    for seed in range(4):
        film = twins(kind, seed)
        assert not film.distance[~film.active].any()
        met += sum(not film.active[truth.first_seq : truth.last_seq + 1].all() for truth in film.truths)
    assert met > 2


def test_balls_of_a_contour_are_as_far_apart_as_those_of_a_hatch() -> None:
    """A part too thin for a hatch: all is contour. A ball every 0.16 mm at 0.05 mm a frame."""
    thin = STRATEGY._replace(outline=rectangle(12.0, 0.15))
    spectra = []
    for seed in range(8):
        film = twins("balling", seed, 480, thin)
        assert set(film.context) <= {"contour", ""}
        for truth in film.truths:
            swing = film.added[truth.first_seq : truth.last_seq + 1 - SETTLING_FRAMES["balling"]]
            if len(swing) >= 20 and film.active[truth.first_seq : truth.last_seq + 1].all():
                swing = (swing - swing.mean()) * np.hanning(len(swing))
                spectra.append(np.abs(np.fft.rfft(swing, 256)) ** 2 / np.square(swing).sum())
    assert len(spectra) > 4
    frequency = np.fft.rfftfreq(256)
    peak = frequency[frequency > 0.15][np.mean(spectra, axis=0)[frequency > 0.15].argmax()]
    assert peak == pytest.approx(STRATEGY.contour.mm_per_s * FRAME_S / 0.16, rel=0.05)


def weld(lit: bool, frames: int = 20) -> Weld:
    """Frames 100 on, each with this moment only."""
    since_s = FRAME_S * np.arange(frames)[:, None]
    one = np.ones(frames)
    return Weld(100, 0.0, FRAME_S, 800.0, lit, since_s, one, np.zeros((frames, 1, 2)), one[:, None].copy(), one, one)


@pytest.mark.parametrize("lit", [True, False])
def test_a_keyhole_s_walls_glow_only_while_the_laser_heats_them(lit: bool) -> None:
    one = weld(lit)
    disturb(one, Event("keyhole", 105, 110, settles_seq=107, strength=1.0, seed=0))
    np.testing.assert_array_equal(np.flatnonzero(one.brightness > 1.0), np.arange(5, 11) if lit else [])


@pytest.mark.parametrize("kind", SETTLING_FRAMES)
def test_the_melt_is_left_alone_once_it_has_to_settle(kind: str) -> None:
    one = weld(True)
    disturb(one, Event(kind, 103, 115, settles_seq=113, strength=0.9, seed=3))
    changed = np.flatnonzero(one.watts[:, 0] != 1.0)
    assert changed.min() >= 3
    assert changed.max() in (11, 12)
    assert max(SETTLING_FRAMES.values()) <= min(DURATIONS_FRAMES[kind] for kind in SETTLING_FRAMES)[0]


def test_an_anomaly_that_a_stop_cuts_short_is_told_all_the_same() -> None:
    pool = MeltPool(16, 16, 0, 1.0, ("frozen",))  # the first begins as soon as one may
    for _ in pool.shots():
        if pool.unfinished is not None:
            break
    assert pool.unfinished is not None
    assert (pool.unfinished.kind, pool.unfinished.layer) == ("frozen", 0)
