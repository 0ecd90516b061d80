"""A film is the same however it is cut: frames, facts, pauses and truths, of every camera."""

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.camera.meltpool.bank import Bank
from monitor.camera.meltpool.camera import MeltPool
from monitor.camera.meltpool.outline import rectangle
from monitor.camera.meltpool.scan import Strategy
from monitor.camera.publisher import Shot
from monitor.camera.reel import Piece, Reel
from monitor.camera.schedule import Truth
from monitor.camera.simulate import Simulated
from monitor.camera.stem.diffraction import Diffraction
from monitor.camera.stem.images import ScanImages

Facts = list[tuple[Any, ...]]


def seen(pieces: list[Piece]) -> tuple[np.ndarray, np.ndarray, Facts]:
    """Frames, their places, and everything else that is said of each; a pause is said of the frame behind it."""
    facts: Facts = []
    for shot, _ in pieces:
        said = shot.context, shot.job, shot.layer, shot.active, shot.settings
        facts += [(*said, shot.pause_s if frame == 0 else 0.0) for frame in range(len(shot.pixels))]
    places = [shot.xy for shot, _ in pieces if shot.xy is not None]
    return np.concatenate([shot.pixels for shot, _ in pieces]), np.concatenate(places), facts


def told(pieces: list[Piece]) -> list[Truth]:
    return [truth for _, truths in pieces for truth in truths]


def begin(truth: Truth) -> tuple[Any, ...]:
    """What is known of an anomaly before its end."""
    return truth.kind, truth.first_seq, truth.strength, truth.layer, truth.xy, truth.context


# Pieces that a test made


SIZES = 3, 7, 1, 12, 2
TOTAL = sum(SIZES)
TRUTHS = Truth("dim", 1, 1, 1.0), Truth("dim", 4, 10, 0.9), Truth("dim", 14, 22, 0.8), Truth("dim", 23, 24, 0.7)
TOLD = (0,), (), (1,), (), (2, 3)
"""Which truths come with which piece: the third with the one behind its last frame, as if a pause had cut it short."""


def reel() -> Reel:
    """TOTAL numbered frames, again and again; the truths are of the first round."""

    def made() -> Iterator[Piece]:
        for number in itertools.count():
            size, first = SIZES[number % 5], sum(SIZES[: number % 5]) + TOTAL * (number // 5)
            pixels = np.arange(first, first + size)[:, None, None]
            xy = np.stack([pixels[:, 0, 0]] * 2, axis=1) + 0.5
            coming[:] = [TRUTHS[index] for indices in TOLD[number + 1 :] for index in indices]
            truths = tuple(TRUTHS[index] for index in (TOLD[number] if number < 5 else ()))
            yield Shot(pixels, layer=number, xy=xy, pause_s=0.1 * number), truths

    coming = list(TRUTHS)
    return Reel(made(), lambda seq: next((truth for truth in coming if truth.first_seq < seq), None))


@given(st.lists(st.integers(0, 9), min_size=1))
def test_a_reel_loses_and_repeats_nothing_wherever_it_is_cut(cuts: list[int]) -> None:
    one = reel()
    pieces = [piece for frames in cuts for piece in one.shots(frames)]
    shown = sum(cuts)
    if shown:
        pixels, places, facts = seen(pieces)
        whole = seen(list(reel().shots(shown)))
        np.testing.assert_array_equal(pixels[:, 0, 0], np.arange(shown))
        np.testing.assert_array_equal(places[:, 0], np.arange(shown) + 0.5)
        assert facts == whole[2]
    unfinished = [] if one.unfinished is None else [one.unfinished]
    assert told(pieces) + unfinished == [truth for truth in TRUTHS if truth.first_seq < shown]


@given(st.lists(st.integers(1, 9), min_size=3))
def test_a_truth_comes_with_the_shot_that_holds_its_last_frame(cuts: list[int]) -> None:
    one, shown = reel(), 0
    for frames in cuts:
        for shot, truths in one.shots(frames):
            shown += len(shot.pixels)
            for truth in truths:
                assert truth.last_seq < shown
                assert truth is TRUTHS[2] or truth.last_seq >= shown - len(shot.pixels)


def test_a_film_that_is_left_in_the_middle_of_a_call_goes_on_behind_the_last_shot_given() -> None:
    one = reel()
    for shot, _ in one.shots():
        if shot.layer == 1:
            break
    assert [next(one.shots(1))[0].pixels.item() for _ in range(3)] == [10, 11, 12]


# The cameras


SMALL = Strategy(rectangle(2.0, 0.6))
"""A part whose layers are short: several in a short film."""

CAMERAS: dict[str, Callable[[], Simulated]] = {
    "melt pool": lambda: MeltPool(16, 16, 3, 0.05, strategy=SMALL),
    "bank": lambda: Bank(MeltPool(16, 16, 3, 0.05, ("splash", "keyhole", "frozen"), strategy=SMALL), 400),
    "images": lambda: ScanImages(16, 16, 3, 0.05),
    "diffraction": lambda: Diffraction(16, 16, 3, 0.05, scan=20),
}


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("cuts", [(1,) * 150, (33, 400, 267), (1, 698, 1), (17, 97, 211, 5, 370), (1000,)])
def test_every_camera_s_film_is_bit_for_bit_the_same_however_it_is_cut(camera: str, cuts: tuple[int, ...]) -> None:
    whole = list(CAMERAS[camera]().shots(1300))
    assert len(told(whole)) > 3
    one, pieces, shown = CAMERAS[camera](), list[Piece](), 0
    for frames in cuts:
        pieces += one.shots(frames)
        shown += frames
        so_far = told(pieces) + ([] if one.unfinished is None else [one.unfinished])
        assert [begin(truth) for truth in so_far] == [begin(t) for t in told(whole) if t.first_seq < shown]
    for cut, uncut in zip(seen(pieces), seen(whole), strict=True):
        np.testing.assert_array_equal(cut, uncut[:shown])
    assert told(pieces) == told(whole)[: len(told(pieces))]
