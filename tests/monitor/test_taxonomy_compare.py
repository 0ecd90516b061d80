"""Embeddings and ways to group side by side, on real frames through a real network; and the page that shows them."""

import itertools
import re
from pathlib import Path

import msgspec
import numpy as np
import pytest
from frames import brighter, normal, with_spot

from models.embeddings import learn_texture
from models.taxonomy.cut import CutSettings
from models.taxonomy.ways import NAMES, Numbers
from monitor.bundle import Bundle
from monitor.camera.recordings import Recording
from monitor.score import load_scorer
from monitor.taxonomy import compare as comparison
from monitor.taxonomy import embedding as files
from monitor.taxonomy.compare import BY_DAEMON, PIXEL_COMPONENTS, Comparison, Maker, as_bytes, makers
from monitor.taxonomy.compare_page import render
from monitor.taxonomy.embedding import About, EmbeddingError
from monitor.taxonomy.events import CompareError, Event, Pieces, recorded
from monitor.taxonomy.labels import source

T_NS = 1_795_000_000 * 10**9
EVENTS = 22
ALWAYS = ["residual and latent", "latent", "pixels"]


def shown(folder: Path) -> list[Recording]:
    """Frames with a spot, and frames that are too bright, in a folder each; each frame is of a run of its own."""
    found = []
    for name, change, seeds in (("spot", with_spot, range(1001, 1013)), ("bright", brighter, range(1013, 1023))):
        (folder / name).mkdir(parents=True, exist_ok=True)
        frames = change(np.concatenate([normal(1, seed) for seed in seeds]))
        found.append(Recording(str(folder / name), frames))
    return found


def compared(
    bundle: Bundle,
    given: Pieces,
    labels: str | None = None,
    made_by: list[Maker] | None = None,
    numbers: Numbers = Numbers(),  # noqa: B008 - frozen
    settings: CutSettings = CutSettings(),  # noqa: B008 - frozen
) -> Comparison:
    by = makers(bundle, load_scorer(bundle), []) if made_by is None else made_by
    ticks = itertools.count()
    return comparison.compare(
        "melt", bundle, given, by, source(labels), settings, numbers, lambda: float(next(ticks)), T_NS
    )


@pytest.fixture(scope="module")
def found(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    return compared(small_bundle, recorded(shown(tmp_path_factory.mktemp("recorded"))), "folders")


def test_every_embedding_is_grouped_in_every_way(found: Comparison) -> None:
    assert [one.name for one in found.embeddings] == ALWAYS
    for one in found.embeddings:
        assert [grouped.way.name for grouped in one.ways] == list(NAMES)
        assert all(len(grouped.way.labels) == len(found.events) == EVENTS for grouped in one.ways)
        assert all(grouped.seconds == 1.0 for grouped in one.ways)
    assert found.embeddings[2].points.shape[1] <= PIXEL_COMPONENTS


def test_two_kinds_are_told_apart_as_their_labels_say(found: Comparison) -> None:
    for grouped in found.embeddings[0].ways:
        if grouped.way.groups == 2:
            assert grouped.held is not None
            assert grouped.held.labelled == EVENTS
            assert grouped.held.agreement.ari == 1.0, grouped.way.name
    assert {"ward", "average"} <= {one.way.name for one in found.embeddings[0].ways if one.way.groups == 2}


def test_labels_choose_nothing(small_bundle: Bundle, tmp_path: Path, found: Comparison) -> None:
    without = compared(small_bundle, recorded(shown(tmp_path)))
    assert without.labelled is None
    for one, other in zip(found.embeddings, without.embeddings, strict=True):
        for grouped, bare in zip(one.ways, other.ways, strict=True):
            assert bare.held is None
            np.testing.assert_array_equal(grouped.way.labels, bare.way.labels)


def test_all_ways_can_be_told_how_many(small_bundle: Bundle, tmp_path: Path) -> None:
    told = compared(small_bundle, recorded(shown(tmp_path)), numbers=Numbers(told=2))
    assert {grouped.way.by for one in told.embeddings for grouped in one.ways} == {"told"}
    assert "Every way was told to find 2 groups." in render(told)


def test_an_embedding_from_a_file_stands_beside_the_others(small_bundle: Bundle, tmp_path: Path) -> None:
    recordings = shown(tmp_path)
    about = About(what="", height=32, width=32, dtype="uint8", frames=14, bundle=small_bundle.sha256, t_ns=7)
    learned = learn_texture(np.concatenate([one.frames for one in recordings]))
    paths = [tmp_path / "a" / "texture.safetensors", tmp_path / "b" / "texture.safetensors"]
    for path in paths:
        files.write(path, about, learned)
    made_by = makers(small_bundle, load_scorer(small_bundle), paths)
    assert [one.name for one in made_by] == [*ALWAYS, "texture", "texture 2"]
    given = compared(small_bundle, recorded(recordings), made_by=made_by)
    np.testing.assert_array_equal(given.embeddings[3].points, given.embeddings[4].points)
    assert given.embeddings[3].points.shape == (EVENTS, learned.size)
    ours = makers(small_bundle, load_scorer(small_bundle), paths[1:], paths[0])
    assert [one.name for one in ours] == [one.name for one in made_by]
    assert [one.about.startswith(BY_DAEMON) for one in ours] == [True, False, False, True, False]
    assert [one.again for one in ours] == [True, True, True, False, False]
    assert len(makers(small_bundle, load_scorer(small_bundle), paths[:1], paths[0])) == 4, "named twice, made once"
    files.write(paths[0], msgspec.structs.replace(about, height=64), learned)
    with pytest.raises(EmbeddingError, match="is for frames of 64 x 32"):
        makers(small_bundle, load_scorer(small_bundle), paths)


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 events: two"), (1, "1 event: two"), (7, "7 events: two kinds of 4")]
)
def test_too_few_events_are_refused(small_bundle: Bundle, count: int, told: str) -> None:
    with pytest.raises(CompareError, match=told):
        compared(small_bundle, recorded([Recording("few", normal(count, 0))]))


def test_more_groups_than_events_are_refused(small_bundle: Bundle) -> None:
    with pytest.raises(CompareError, match="9 events cannot be in 10 groups"):
        compared(small_bundle, recorded([Recording("few", normal(9, 0))]), numbers=Numbers(told=10))


def given_points(points: np.ndarray) -> tuple[Pieces, list[Maker]]:
    """Events that an embedding puts at *points* (n, d), with grey frames for pictures."""
    count = len(points)
    events = [Event(number, "s", number) for number in range(count)]
    frames = np.full((count, 20, 20), 7, np.uint8)
    return Pieces(iter([(events, frames)]), 0, ""), [Maker("given", "as given", lambda _: points.astype(np.float32))]


RNG = np.random.default_rng(0)
BLOBS = RNG.normal(0, 0.05, (40, 3)) + np.repeat(np.eye(3)[:2], 20, axis=0)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((30, 3)),
        RNG.normal(0, 1, (60, 12)),
        BLOBS,
        np.where(np.arange(40)[:, None] == 5, np.nan, BLOBS),
        np.repeat(np.eye(3), 10, axis=0),
        np.zeros((30, 1)),
        np.arange(8.0)[:, None],
    ],
    ids=["all alike", "a cloud", "two kinds", "one without numbers", "duplicates", "of one number", "the fewest"],
)
def test_whatever_was_found_is_told_and_shown(small_bundle: Bundle, points: np.ndarray) -> None:
    given, made_by = given_points(points)
    told = compared(small_bundle, given, made_by=made_by)
    page, read = render(told), msgspec.json.decode(as_bytes(told))
    assert f"{len(points)} events" in page
    assert ("are left out" in page) == bool(np.isnan(points).any())
    assert read["embeddings"][0]["left_out"] == int(np.isnan(points).any())
    assert len(read["embeddings"][0]["ways"]) == len(NAMES)


def test_an_embedding_without_enough_finite_points_is_refused_by_name(small_bundle: Bundle) -> None:
    given, made_by = given_points(np.where(np.arange(40)[:, None] < 35, np.nan, BLOBS))
    with pytest.raises(CompareError, match="given: only 5 of 40 events have points"):
        compared(small_bundle, given, made_by=made_by)


def test_json_says_what_each_way_found(found: Comparison) -> None:
    read = msgspec.json.decode(as_bytes(found))
    assert (read["v"], read["camera"], len(read["events"])) == (1, "melt", EVENTS)
    assert read["labels"] == {"from": "names of folders", "count": EVENTS}
    ways = {one["way"]: one for one in read["embeddings"][0]["ways"]}
    assert ways["ward"]["elbow"] is None
    assert [count for count, _ in ways["k-means"]["costs"]] == list(range(1, 13))
    assert (ways["k-means"]["bics"], len(ways["gaussian mixture"]["bics"])) == (None, 12)
    assert ways["ward"]["labels"] == found.embeddings[0].ways[3].way.labels.tolist()
    assert ways["ward"]["ari"] == 1.0


def test_the_page_stands_by_itself_and_shows_names_without_doing_what_they_say(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("seq,label\n0,<script>x</script>\n1,spot\n2,spot\n")
    page = render(compared(small_bundle, recorded(shown(tmp_path)), str(labels)))
    assert "http" not in re.sub(r'<meta http-equiv="[^>]*>', "", page)
    assert "<script" not in page
    assert "&lt;script&gt;x" in page


def test_the_page_has_a_table_curves_maps_and_frames_of_every_way(found: Comparison) -> None:
    page = render(found)
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "All ways", *(f"Embedding: {name}" for name in ALWAYS), "Groups of each way",
    ]  # fmt: skip
    assert page.count("Cost, silhouette and BIC by the number of groups") == len(ALWAYS)
    assert page.count("Maps of the events") == len(ALWAYS)
    assert page.count(">as labelled</text>") == len(ALWAYS)
    assert len(re.findall(r"<h3>", page)) == len(NAMES)
    assert page.count("data:image/png;base64") >= 2 * len(NAMES)
    assert "prefers-color-scheme: dark" in page
