"""Scores without a daemon: a row a frame, flags that mean what they say, tables whole or not at all."""

from pathlib import Path

import msgspec
import numpy as np
import pyarrow.csv
import pyarrow.parquet
import pytest
from frames import brighter, normal, with_spot

from calibration.memory import RARITY_TAIL, fit_memory
from calibration.memory import step as remember
from models.scores import CHARTS
from monitor.bundle import Bundle, BundleError
from monitor.camera.recordings import Recording, RecordingError
from monitor.manifest import FittedLimit, FittedMemory, FittedTail
from monitor.score import chart_values, evaluate, load_scorer, require_fit, score_table, write_table

FRESH = normal(60, 50)


def test_each_frame_is_a_row_in_the_order_of_its_group(small_bundle: Bundle) -> None:
    table = score_table(small_bundle, [Recording("a", FRESH[:7]), Recording("b", FRESH[7:10])])
    assert table["group"].to_pylist() == ["a"] * 7 + ["b"] * 3
    assert table["sequence"].to_pylist() == [*range(7), *range(3)]
    assert {"t2", "s2", "offset", "local", "joint", "source", "flag"} <= set(table.column_names)
    for chart, limit in zip(CHARTS, small_bundle.limits, strict=True):
        assert set(table[f"{chart}_limit"].to_pylist()) == {limit.value}


def test_scores_are_the_scorers_whatever_the_cut_into_groups(small_bundle: Bundle) -> None:
    direct = load_scorer(small_bundle)(FRESH)
    whole = score_table(small_bundle, [Recording("all", FRESH)])
    cut = score_table(small_bundle, [Recording("a", FRESH[:11]), Recording("b", FRESH[11:])])
    for chart in CHARTS:
        np.testing.assert_array_equal(whole[chart].to_numpy(), getattr(direct, chart))
        np.testing.assert_allclose(cut[chart].to_numpy(), getattr(direct, chart), rtol=2e-3, atol=1e-4)


def test_a_flag_is_a_chart_over_its_limit_and_the_joint_score_above_one(small_bundle: Bundle) -> None:
    table = score_table(small_bundle, [Recording("x", np.concatenate([FRESH, with_spot(FRESH), brighter(FRESH)]))])
    over = np.stack([table[chart].to_numpy() > table[f"{chart}_limit"].to_numpy() for chart in CHARTS], axis=1)
    for index, chart in enumerate(CHARTS):
        np.testing.assert_array_equal(table[f"{chart}_flag"].to_numpy(), over[:, index])
    np.testing.assert_array_equal(table["flag"].to_numpy(), over.any(axis=1))
    np.testing.assert_array_equal(table["flag"].to_numpy(), table["joint"].to_numpy() > 1)
    named = [CHARTS.index(source) for source in table["source"].to_pylist()]
    flagged = table["flag"].to_numpy()
    assert over[np.arange(len(over)), named][flagged].all(), "the source is a chart that is over its limit"


def test_the_local_chart_points_at_the_spot(small_bundle: Bundle) -> None:
    table = score_table(small_bundle, [Recording("spot", with_spot(FRESH, 5, 26))])
    assert abs(np.median(table["local_row"].to_numpy()) - 5) <= 2
    assert abs(np.median(table["local_column"].to_numpy()) - 26) <= 2


@pytest.mark.parametrize(
    ("frames", "told"),
    [
        (normal(2, 1, 32, 48), "frames are 32x48 uint8, but the bundle"),
        (normal(2, 1).astype(np.uint16), "frames are 32x32 uint16"),
    ],
)
def test_frames_of_another_kind_are_refused_by_name(small_bundle: Bundle, frames: np.ndarray, told: str) -> None:
    for refuse in (require_fit, score_table):
        with pytest.raises(RecordingError, match=told) as caught:
            refuse(small_bundle, [Recording("good", FRESH), Recording("other", frames)])
        assert str(caught.value).startswith("other: ")
        assert "is for 32x32 uint8" in str(caught.value)


def test_weights_that_do_not_fit_are_refused(small_bundle: Bundle) -> None:
    name = next(name for name in small_bundle.tensors if name.startswith("network."))
    lacking = small_bundle._replace(tensors={k: v for k, v in small_bundle.tensors.items() if k != name})
    with pytest.raises(BundleError, match=r"is missing; calibrate anew"):
        load_scorer(lacking)


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".CSV"])
def test_a_table_reads_back(small_bundle: Bundle, tmp_path: Path, suffix: str) -> None:
    table = score_table(small_bundle, [Recording("a", FRESH[:5])])
    out = tmp_path / f"scores{suffix}"
    out.write_text("old")
    write_table(table, out)
    again = pyarrow.parquet.read_table(out) if suffix == ".parquet" else pyarrow.csv.read_csv(out)
    assert again.column_names == table.column_names
    np.testing.assert_allclose(again["joint"].to_numpy(), table["joint"].to_numpy())
    assert again["flag"].to_pylist() == table["flag"].to_pylist()
    assert [entry.name for entry in tmp_path.iterdir()] == [out.name]
    assert out.stat().st_mode & 0o777 == 0o644


def test_a_table_that_cannot_be_written_leaves_nothing(
    small_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = score_table(small_bundle, [Recording("a", FRESH[:5])])
    with pytest.raises(ValueError, match=r"must end in \.parquet or \.csv"):
        write_table(table, tmp_path / "scores.xlsx")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pyarrow.csv, "write_csv", full)
    with pytest.raises(OSError, match="No space left"):
        write_table(table, tmp_path / "scores.csv")
    assert list(tmp_path.iterdir()) == []


def in_contexts(bundle: Bundle) -> Bundle:
    """*bundle* with limits of its own in contour, which half of the normal frames exceed, and none in hatch."""
    held = bundle.manifest
    own = {chart: msgspec.structs.replace(limit, value=limit.center) for chart, limit in held.limits.items()}
    return bundle._replace(manifest=msgspec.structs.replace(held, context_limits={"contour": own, "hatch": {}}))


def test_frames_are_held_to_the_limits_of_their_context(small_bundle: Bundle) -> None:
    bundle = in_contexts(small_bundle)
    contexts = ("contour", "hatch", "")
    table = score_table(bundle, [Recording(f"of {context}", FRESH[:7], context) for context in contexts])
    assert table["context"].to_pylist() == [context for context in contexts for _ in range(7)]
    for chart, limit in zip(CHARTS, small_bundle.limits, strict=True):
        assert table[f"{chart}_limit"].to_pylist() == [limit.center] * 7 + [limit.value] * 14
    flags = table["flag"].to_pylist()
    assert sum(flags[:7]) > sum(flags[7:14])
    assert flags[7:14] == flags[14:]


def test_a_context_that_the_bundle_does_not_know_is_refused_by_name(small_bundle: Bundle) -> None:
    told = r"a: the bundle .* does not know the context skin, only contour, hatch; calibrate with frames of it"
    with pytest.raises(RecordingError, match=told):
        score_table(in_contexts(small_bundle), [Recording("a", FRESH[:5], "skin")])
    score_table(small_bundle, [Recording("a", FRESH[:5], "skin")])  # calibrated without regard to context


def test_an_evaluation_counts_what_the_flags_say(small_bundle: Bundle) -> None:
    normal_run, spots = Recording("normal", FRESH), Recording("spots", with_spot(FRESH[:40]))
    found = evaluate(small_bundle, [normal_run], [spots])
    flags = score_table(small_bundle, [normal_run])["flag"].to_numpy()
    assert found.counts == (40, 0, int(flags.sum()), int((~flags).sum()))
    assert found.performance.sensitivity.value == 1.0
    assert found.performance.false_alarm_rate.value == pytest.approx(flags.mean())
    assert set(found.areas) == {*CHARTS, "combined"}
    assert found.areas["local"].value == 1.0
    assert found.areas["combined"].low > 0.9


def test_frames_too_bright_for_arithmetic_are_flagged_and_ranked_last(small_bundle: Bundle) -> None:
    takes_floats = msgspec.structs.replace(small_bundle.manifest, dtype="float32")
    bundle = small_bundle._replace(manifest=takes_floats)
    usual = Recording("usual", FRESH.astype(np.float32))
    absurd = Recording("absurd", np.where(np.arange(32)[:, None] < 4, np.float32(3e38), usual.frames))
    table = score_table(bundle, [absurd])
    assert np.isnan(table["s2"].to_numpy()).any(), "the arithmetic really fails"
    assert all(table["flag"].to_pylist())
    assert all(table["s2_flag"].to_pylist())
    assert {area.value for area in evaluate(bundle, [usual], [absurd]).areas.values()} == {1.0}


def test_frames_against_themselves_cannot_be_told_apart(small_bundle: Bundle) -> None:
    found = evaluate(small_bundle, [Recording("one", FRESH)], [Recording("same", FRESH)])
    assert {area.value for area in found.areas.values()} == {0.5}


# A chart that remembers


def remembering(bundle: Bundle) -> Bundle:
    """*bundle* with a memory of ten frames beside its charts, whose limit is a rarity of 2."""
    held, scores = bundle.manifest, load_scorer(bundle)(normal(400, 60))
    memory, _ = fit_memory(
        (0.1,),
        100.0,
        {b"hatch": scores.latent.mean(axis=0)},
        1e9,
        scores.latent,
        scores.t2,
        np.full(400, b"hatch"),
        np.array([0, 400]),
        np.arange(400) >= 320,
    )
    limit = FittedLimit(2.0, 2.0, 2.0, 0.0, 0.01, "given", 400, 400.0, False, FittedTail.of(RARITY_TAIL))
    manifest = msgspec.structs.replace(
        held, memory=FittedMemory.of(memory, 100.0), limits=held.limits | {"mewma": limit}
    )
    return bundle._replace(manifest=manifest)


def test_without_a_memory_charts_say_what_the_scorer_does(small_bundle: Bundle) -> None:
    scores = load_scorer(small_bundle)(FRESH)
    values = chart_values(small_bundle, "hatch", scores)
    np.testing.assert_array_equal(values, scores.values)
    assert values.dtype == np.float64


@pytest.mark.parametrize("context", ["hatch", "contour", ""])
def test_a_memory_chart_stands_last_and_is_asked_about_the_context_shown(small_bundle: Bundle, context: str) -> None:
    bundle, scores = remembering(small_bundle), load_scorer(small_bundle)(FRESH)
    assert bundle.memory is not None
    values = chart_values(bundle, context, scores)
    np.testing.assert_array_equal(values[:, :-1], scores.values)
    centered = scores.latent.astype(np.float64) - (bundle.memory.centers[b"hatch"] if context == "hatch" else 0.0)
    anywhere = np.full(len(FRESH), b"of no center")
    np.testing.assert_array_equal(values[:, -1], remember(bundle.memory, {}, centered, scores.t2, anywhere)[1])


def test_each_recording_begins_with_an_empty_memory(small_bundle: Bundle) -> None:
    bundle = remembering(small_bundle)
    table = score_table(bundle, [Recording("a", FRESH[:30]), Recording("b", FRESH[:30])])
    rarities = table["mewma"].to_numpy()
    np.testing.assert_array_equal(rarities[:30], rarities[30:])
    assert set(table["mewma_limit"].to_pylist()) == {2.0}
    np.testing.assert_array_equal(table["mewma_flag"].to_numpy(), rarities > 2.0)
    named = np.array(table["source"].to_pylist()) == "mewma"
    np.testing.assert_array_equal(table["joint"].to_numpy()[named], rarities[named] / 2.0)
    assert named.any()
