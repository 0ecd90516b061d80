"""A recording that is judged again has the scores that it had: whatever the pixels, the rate and the context."""

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from frames import normal, with_spot
from recorder_example import as_type, failed, plant, remembering_bundle

from monitor.bundle import Bundle
from monitor.camera.recordings import read
from monitor.recorder.recording import Recorded
from monitor.score import score_table, write_table


@pytest.fixture(scope="module", params=["uint8", "uint16", "float32"])
def bundle(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    made = remembering_bundle(tmp_path_factory.mktemp(request.param), request.param)
    assert "mewma" in made.manifest.charts
    return made


def judged_again(bundle: Bundle, path: Path) -> Recorded:
    """What was read of *path*, once its scores were found to be the same."""
    recording = read(str(path))
    assert recording.recorded is not None
    table, held = score_table(bundle, [recording]), recording.recorded
    judged = held.columns["judged_ns"] > 0
    assert judged.any()
    assert table["sequence"].to_pylist() == held.columns["seq"].tolist()
    for chart in (*bundle.manifest.charts, "joint"):
        again = table[chart].to_numpy()[judged]
        np.testing.assert_allclose(again, held.scores[chart][judged], rtol=2e-4, atol=1e-5, err_msg=chart)
        assert np.isnan(held.scores[chart][~judged]).all()
    assert np.isnan(table["joint"].to_numpy()[~judged]).all()
    assert table["source"].is_valid().to_pylist() == judged.tolist(), "no score comes from no chart"
    for flag in ("flag", *(f"{chart}_flag" for chart in bundle.manifest.charts)):
        assert not table[flag].to_numpy()[~judged].any(), f"{flag} of a frame that was not judged"
    return held


@pytest.mark.parametrize("per_message", [1, 7, 128])
def test_the_scores_are_the_same(bundle: Bundle, tmp_path: Path, per_message: int) -> None:
    dtype = bundle.manifest.dtype
    frames = np.concatenate([normal(300, 101), with_spot(normal(6, 102)), normal(60, 103)])
    with plant(bundle, tmp_path / "kept") as works:
        for first in range(0, len(frames), per_message):
            context = "hatch" if first // 20 % 2 else "contour"
            works.send(as_type(frames[first : first + per_message], dtype), context=context, job="part", layer=3)
            works.record()
        names = works.record(last=True)
        found = [judged_again(bundle, tmp_path / "kept" / name) for name in names]
    for held in found:
        assert np.array_equal(held.frames, as_type(frames, dtype)[held.columns["seq"]])
        assert held.notes
        assert np.isfinite(held.latents).all()
    seqs = [seq for held in found for seq in held.columns["seq"].tolist()]
    assert set(range(290, 311)) <= set(seqs)
    assert len(seqs) == len(set(seqs))


def test_frames_that_were_not_judged_and_streams_that_began_anew_are_not_remembered(
    bundle: Bundle, tmp_path: Path
) -> None:
    dtype = bundle.manifest.dtype
    with plant(bundle, tmp_path / "kept") as works:
        works.send(as_type(normal(200, 1), dtype))
        works.send(as_type(normal(5, 2), dtype), active=False)
        works.send(as_type(with_spot(normal(4, 3)), dtype))
        works.send(as_type(normal(3, 4), dtype), active=False)
        works.send(as_type(normal(30, 5), dtype))
        works.clock.now_ns += 10**13  # the first sender is gone
        works.send(as_type(with_spot(normal(4, 6)), dtype), stream="two")
        works.send(as_type(normal(30, 7), dtype), stream="two")
        works.record()
        names = works.record(last=True)
        assert failed(works.counts) == {}
        held = [judged_again(bundle, tmp_path / "kept" / name) for name in names]
    assert {stream for one in held for stream in one.columns["stream"].tolist()} == {b"one", b"two"}
    assert any((one.columns["unjudged"] > 0).any() for one in held)


def test_stretches_of_a_long_event_each_begin_with_what_was_remembered(bundle: Bundle, tmp_path: Path) -> None:
    dtype = bundle.manifest.dtype
    from recorder_example import EXTENT

    with plant(bundle, tmp_path / "kept", extent=EXTENT._replace(longest=40)) as works:
        works.send(as_type(normal(100, 1), dtype))
        for seed in range(30):
            works.send(as_type(with_spot(normal(4, 10 + seed)), dtype))
            works.record()
        works.send(as_type(normal(30, 5), dtype))
        (name,) = works.record(last=True)
        held = judged_again(bundle, tmp_path / "kept" / name)
    assert len(held.notes) >= 2
    assert held.attributes["gaps"] >= 1


def test_latents_are_those_that_were_judged_by(bundle: Bundle, tmp_path: Path) -> None:
    dtype = bundle.manifest.dtype
    with plant(bundle, tmp_path / "kept") as works:
        works.send(as_type(normal(100, 1), dtype))
        works.send(as_type(with_spot(normal(4, 2)), dtype))
        works.send(as_type(normal(30, 5), dtype))
        (name,) = works.record(last=True)
        held = judged_again(bundle, tmp_path / "kept" / name)
    np.testing.assert_allclose(np.square(held.latents).sum(axis=1), held.scores["t2"], rtol=1e-4)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_table_names_no_chart_beside_a_frame_that_was_not_judged(bundle: Bundle, tmp_path: Path, suffix: str) -> None:
    dtype = bundle.manifest.dtype
    with plant(bundle, tmp_path / "kept") as works:
        works.send(as_type(normal(50, 1), dtype))
        works.send(as_type(with_spot(normal(4, 2)), dtype))
        works.send(as_type(normal(3, 3), dtype), active=False)
        works.send(as_type(normal(30, 4), dtype))
        (name,) = works.record(last=True)
    recording, out = read(str(tmp_path / "kept" / name)), tmp_path / f"scores{suffix}"
    write_table(score_table(bundle, [recording]), out)
    if suffix == ".csv":
        nothing = pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""])
        sources = pyarrow.csv.read_csv(out, convert_options=nothing)["source"]
    else:
        sources = pyarrow.parquet.read_table(out)["source"]
    assert recording.recorded is not None
    judged = recording.recorded.columns["judged_ns"] > 0
    assert sources.is_valid().to_pylist() == judged.tolist()
    assert (~judged).sum() == 3
