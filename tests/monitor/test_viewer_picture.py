"""A Picture of a frame says what the judge said of it, and its pictures are those of its pixels."""

from collections.abc import Iterator
from pathlib import Path

import frames
import msgspec
import numpy as np
import pytest
import scan_examples
from viewer_example import Floor, floor_of, pixels_of

from models.reconstruction import reconstruct
from monitor.bundle import Bundle
from monitor.viewer.picking import copied
from monitor.viewer.picture import FLOAT32_MAX, Painter, Picture
from monitor.viewer.speech import Kept

UNIX_NS = 1_795_000_000 * 10**9
FACTS = Kept(stream="s", seq=7, t_ns=UNIX_NS, layer=None, job="", context="", xy=None)


@pytest.fixture
def floor(small_bundle: Bundle, tmp_path: Path) -> Iterator[Floor]:
    with floor_of(small_bundle, tmp_path) as made:
        yield made


def of_ring(floor: Floor, position: int) -> Picture:
    found = copied(floor.ring, position)
    assert found is not None
    return Painter(floor.bundle).of_ring(found.frame, UNIX_NS)


def test_it_says_what_the_judge_said(floor: Floor) -> None:
    shown = frames.with_spot(frames.normal(3, 60), 20, 9)
    floor.show(shown, 40, job="part", layer=12, context="hatch", xy=(1.5, 2.0))
    floor.judge(0, 3)
    record = floor.ring.view(0, 1)
    found = of_ring(floor, 0)
    assert (found.seq, found.stream, found.job, found.layer, found.context) == (40, "s", "part", 12, "hatch")
    assert found.xy == (1.5, 2.0)
    assert found.t_ns == UNIX_NS + int(record.judged_ns[0])
    assert found.ratio == pytest.approx(float(record.joint[0]), rel=1e-5)
    assert found.source == "local"
    limits = {chart: limit.value for chart, limit in floor.bundle.manifest.limits.items()}
    assert {chart: limit for chart, (_, limit) in found.scores.items()} == pytest.approx(limits)
    for chart, (score, _) in found.scores.items():
        assert score == pytest.approx(float(getattr(record, chart)[0]), rel=1e-6)
    assert of_ring(floor, 1).xy is None, "a header places its first frame only"


def test_its_pictures_are_what_the_network_sees_and_draws(floor: Floor) -> None:
    shown = frames.with_spot(frames.normal(1, 60), 20, 9, 250)
    floor.show(shown)
    floor.judge(0, 1)
    found, painter = of_ring(floor, 0), Painter(floor.bundle)
    expected = reconstruct(painter.scorer, shown)
    black, white = found.scale
    for uri, image in ((found.seen, expected.seen[0]), (found.drawn, expected.drawn[0])):
        assert pixels_of(uri)[..., 0] == pytest.approx(np.clip((image - black) / (white - black), 0, 1) * 255, abs=1)
    residual = pixels_of(found.residual).astype(int)
    assert (found.height, found.width) == residual.shape[:2] == (32, 32)
    assert found.where is not None
    row, column = found.where
    assert max(abs(row - 20), abs(column - 9)) <= 4
    assert (residual[19:22, 8:11, 0] > residual[19:22, 8:11, 2]).all(), "brighter than drawn is orange"


def test_a_frame_that_was_not_judged_is_judged_for_its_picture(floor: Floor) -> None:
    shown = frames.with_spot(frames.normal(2, 60), 20, 9)
    floor.show(shown)
    floor.judge(0, 1)
    floor.show(shown[:1], 1)
    judged, unjudged = of_ring(floor, 0), of_ring(floor, 2)
    assert unjudged.t_ns == UNIX_NS + 77, "when it came"
    assert unjudged.scores == pytest.approx({chart: pytest.approx(one) for chart, one in judged.scores.items()})
    assert unjudged.ratio == pytest.approx(judged.ratio, rel=1e-5)


def test_a_kept_frame_is_judged_anew_but_for_what_its_charts_remembered(small_bundle: Bundle) -> None:
    shown = frames.normal(1, 60)[0]
    plain = Painter(small_bundle).of_kept(FACTS, shown)
    assert list(plain.scores) == list(small_bundle.manifest.charts)
    told = Painter(small_bundle).of_kept(msgspec.structs.replace(FACTS, scores={"t2": 1e6}), shown)
    assert (told.source, told.scores["t2"][0]) == ("t2", 1e6)
    assert told.ratio > plain.ratio


def test_a_score_without_bound_is_told_as_the_largest_number(small_bundle: Bundle) -> None:
    facts = msgspec.structs.replace(FACTS, scores={"t2": float("inf"), "s2": float("nan")})
    found = Painter(small_bundle).of_kept(facts, frames.normal(1, 60)[0])
    assert (found.scores["t2"][0], found.scores["s2"][0]) == (FLOAT32_MAX, FLOAT32_MAX)
    assert found.ratio == FLOAT32_MAX
    assert b"null" not in msgspec.json.encode(msgspec.structs.replace(found, layer=0, xy=(0.0, 0.0)))


def test_an_image_is_shown_whole_with_the_worst_spot_of_all_its_tiles(tiled_bundle: Bundle) -> None:
    image = scan_examples.with_spot(scan_examples.scans(1, 99), 50, 70)[0]
    found = Painter(tiled_bundle).of_kept(FACTS, image)
    assert (found.height, found.width) == image.shape
    assert found.where is not None
    assert max(abs(found.where[0] - 52), abs(found.where[1] - 72)) <= 6
    assert found.ratio > 1
