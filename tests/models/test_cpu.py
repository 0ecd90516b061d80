"""How threads share a batch."""

import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from models.cpu import Work
from models.scores import Scores

PIECES = 40


def scores_of(frames: npt.NDArray[np.uint8]) -> Scores:
    """Scores that tell which frames they are of."""
    told = frames.reshape(len(frames), -1)[:, 0].astype(np.float32)
    return Scores(told[:, None], told, told, told, told, np.zeros((len(told), 2), np.int16))


def work_of() -> Work:
    return Work(np.arange(4 * PIECES, dtype=np.uint8).reshape(-1, 1, 1), 4)


def test_each_piece_is_scored_once_and_stays_in_its_place_whoever_takes_it() -> None:
    taken: list[int] = []
    together = threading.Barrier(4)

    def lane(frames: npt.NDArray[np.uint8]) -> Scores:
        taken.append(int(frames[0, 0, 0]) // 4)
        return scores_of(frames)

    def share(work: Work) -> None:
        together.wait()
        work.share(lane)

    work = work_of()
    with ThreadPoolExecutor(4) as threads:
        for done in [threads.submit(share, work) for _ in range(4)]:
            done.result()
    assert sorted(taken) == list(range(PIECES))
    assert work.scores().t2.tolist() == list(range(4 * PIECES))


def test_a_thread_that_is_held_up_leaves_the_rest_to_the_others() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def held_up(frames: npt.NDArray[np.uint8]) -> Scores:
        begun.set()
        assert go_on.wait(10.0)
        return scores_of(frames)

    work, scored = work_of(), 0

    def count() -> None:
        nonlocal scored
        scored += 1

    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(work.share, held_up)
        assert begun.wait(10.0)
        work.share(scores_of, count)
        assert scored == PIECES - 1
        go_on.set()
        slow.result()
    assert work.scores().t2.tolist() == list(range(4 * PIECES))


def test_what_fails_in_a_piece_is_raised() -> None:
    def fails(frames: npt.NDArray[np.uint8]) -> Scores:
        raise RuntimeError("no memory")

    with pytest.raises(RuntimeError, match="no memory"):
        work_of().share(fails)


def test_of_a_recording_on_disk_only_the_piece_that_is_scored_is_in_memory(tmp_path: Path) -> None:
    np.save(tmp_path / "run.npy", np.zeros((64, 256, 256), np.uint8))
    recording = np.load(tmp_path / "run.npy", mmap_mode="r")
    tracemalloc.start()
    Work(recording, 4).share(scores_of)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < recording.nbytes / 4
