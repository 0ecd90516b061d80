"""What is measured: bundles and the frames that they admit."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
from frames import normal

from monitor.bench.subject import bank_frames, simulated, subject_of, trained
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording, RecordingError
from monitor.types import PixelType


def test_a_network_trained_in_seconds_judges_by_every_chart(tmp_path: Path) -> None:
    dtype: PixelType = "uint16"
    subject = subject_of(tmp_path, trained(tmp_path, 32, dtype), [], "")
    held = subject.bundle.manifest
    assert (held.height, held.width, held.dtype) == (32, 32, dtype)
    assert held.charts == ("t2", "s2", "offset", "local", "mewma")
    assert held.budget is not None
    bank = np.load(subject.bank)
    assert bank.shape == (bank_frames(32, 32, dtype), 32, 32)
    assert bank.dtype == dtype
    assert subject.frame_bytes == bank[0].nbytes


def test_simulated_frames_of_a_camera_with_more_bits_use_them() -> None:
    few, many = (simulated(3, 1, 32, 32, dtype).astype(float) for dtype in ("uint8", "uint16"))
    np.testing.assert_array_equal(many, 16 * few)


@pytest.mark.parametrize(("side", "frames"), [(32, 4000), (120, 1165), (576, 50), (4096, 32)])
def test_a_bank_takes_a_few_megabytes(side: int, frames: int) -> None:
    assert bank_frames(side, side, "uint8") == frames


def test_frames_that_a_person_gives_are_the_bank(small_bundle: Bundle, tmp_path: Path) -> None:
    given = [Recording("a", normal(5, 1)), Recording("b", normal(4, 2))]
    subject = subject_of(tmp_path, small_bundle, given, "")
    np.testing.assert_array_equal(np.load(subject.bank), np.concatenate([one.frames for one in given]))


@pytest.mark.parametrize(
    ("frames", "why"),
    [(normal(5, 1, 16, 16), "frames are 16x16 uint8"), (normal(1, 1), "one frame alone would be a camera that")],
)
def test_frames_that_cannot_be_judged_are_refused(
    small_bundle: Bundle, tmp_path: Path, frames: np.ndarray, why: str
) -> None:
    with pytest.raises(RecordingError, match=why):
        subject_of(tmp_path, small_bundle, [Recording("a", frames)], "")


def test_frames_are_sent_in_a_context_and_with_the_settings_that_the_bundle_admits(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    held = msgspec.structs.replace(
        small_bundle.manifest, context_limits={"": {}, "contour": {}, "hatch": {}}, settings="A"
    )
    bundle = Bundle(small_bundle.path, small_bundle.sha256, held, small_bundle.tensors)
    subject = subject_of(tmp_path, bundle, [], "")
    assert (subject.context, subject.settings) == ("hatch", "A")
    given = subject_of(tmp_path, bundle, [Recording("a", normal(5, 1), "contour")], "")
    assert given.context == "contour"
