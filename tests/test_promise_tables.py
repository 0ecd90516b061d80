"""What `make promise` writes: tables and picture from figures that were kept, and the document they stand in."""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.benchmarks import unseen_groups
from tests.benchmarks.document import put, replaced
from tests.benchmarks.promise import __main__ as streams
from tests.benchmarks.promise import camera
from tests.benchmarks.promise.figures import Camera, OnCamera, OnGroups, OnStream, Power, keep, read
from tests.benchmarks.promise.picture import draw
from tests.benchmarks.promise.tables import of_camera, of_few, of_groups, of_power, of_streams

DOCUMENT = Path(__file__).parents[1] / "docs" / "limits.md"
PLACES = (streams.PLACE, *camera.PLACES, unseen_groups.PLACE)
SVG = "{http://www.w3.org/2000/svg}"

ON_STREAM = OnStream(
    stream="AR(1) 0.9",
    expected=3.0,
    calibrations=200,
    blocks=1951.0,
    block_frames=82.0,
    block_frames_max=120,
    promised=1.0,
    extrapolated_by=1.0,
    allowed=900.0,
    mean=1.05,
    standard_error=0.05,
    low=0.28,
    high=2.23,
    covered=0.95,
    covered_by_bootstrap=0.86,
    conservative_mean=0.46,
    conservative_standard_error=0.03,
    conservative_low=0.03,
    conservative_high=1.25,
    conservative_over=0.08,
)
FAR = msgspec.structs.replace(ON_STREAM, expected=0.3, extrapolated_by=4.17, promised=0.8, high=3.83)
NEAR = msgspec.structs.replace(ON_STREAM, expected=10.0, mean=0.99)
RANKED = msgspec.structs.replace(ON_STREAM, stream="floor", expected=2.0, mean=1.1, mean_by_ranks=3.2)
STREAMS = [ON_STREAM, NEAR, FAR, RANKED]

ON_CAMERA = OnCamera(
    expected=3.0,
    runs=40,
    allowed=90.0,
    realised=0.8,
    unwidened=1.1,
    promised=1.0,
    conservative=0.5,
    low=0.4,
    high=1.5,
    block_frames=50.0,
    widened=0.1,
    frames_over=1.2,
)
OVER = msgspec.structs.replace(ON_CAMERA, realised=1.6, conservative=1.1, low=1.2, widened=0.3)
POWER = [
    Power(way=way, false_events=events, fresh_runs=600, anomalies=400, found=found)
    for events, way, found in ((3, "budget", 200), (3, "per frame", 100), (10, "budget", 400), (10, "per frame", 0))
]
FEW = [msgspec.structs.replace(one, runs=5) for one in (ON_CAMERA, OVER)]
CAMERA = Camera(calibrations=[ON_CAMERA, OVER], few=FEW, power=POWER)

ON_GROUPS = OnGroups(
    method="random effects",
    groups=3,
    between=0.5,
    calibrations=200,
    mean=0.67,
    low=0.08,
    high=1.4,
    over=0.198,
    over_twice=0.08,
    covered=0.92,
    predicted=2.3,
)
POOLED = msgspec.structs.replace(ON_GROUPS, method="pooled", mean=2.33, covered=None, predicted=None)
GROUPS = [POOLED, ON_GROUPS]

COMMANDS = [
    pytest.param(streams.main, STREAMS, (streams.PLACE,), id="streams"),
    pytest.param(camera.main, CAMERA, camera.PLACES, id="camera"),
    pytest.param(unseen_groups.main, GROUPS, (unseen_groups.PLACE,), id="groups"),
]


def cells(table: str) -> list[list[str]]:
    """The rows of the one markdown table in a text, its head first."""
    lines = [line.strip("| ").split(" | ") for line in table.splitlines() if line.startswith("| ")]
    return [lines[0], *lines[2:]]


@pytest.fixture
def document(tmp_path: Path) -> Path:
    path = tmp_path / "limits.md"
    path.write_text("".join(f"before\n<!-- begin {name} -->\n<!-- end {name} -->\n" for name in PLACES))
    return path


def test_the_table_of_streams_lists_budgets_from_many_events_to_few() -> None:
    text = of_streams(STREAMS)
    head, *rows = cells(text)
    assert [row[:3] for row in rows] == [
        ["AR(1) 0.9", "10", "-"],
        ["AR(1) 0.9", "3", "-"],
        ["AR(1) 0.9", "0.3, promised 0.80 of it", "4.2"],
        ["floor", "2", "-"],
    ]
    assert all(len(row) == len(head) for row in rows)
    assert rows[1][3:] == ["1,951 of 82", "900", "1.05 ± 0.05", "0.28 to 2.23", "95%", "86%", "0.46 ± 0.03", "8%"]
    assert text.startswith("200 calibrations of every stream")
    assert "realise 3.20 of the budget, by tails 1.10" in text


def test_the_table_of_the_camera_takes_calibrations_of_a_budget_together() -> None:
    many = msgspec.structs.replace(ON_CAMERA, expected=10.0, promised=0.7)
    head, *rows = cells(of_camera([ON_CAMERA, OVER, many]))
    assert [row[:2] for row in rows] == [["10, promised 0.70 of it", "1"], ["3", "2"]]
    assert all(len(row) == len(head) for row in rows)
    assert rows[1][2:] == [
        "50",
        "90",
        "0.20",
        "1.20 ± 0.40",
        "0.84 to 1.56",
        "50%",
        "0.80 ± 0.30",
        "50%",
        "1.20 (1.20 to 1.20)",
    ]
    assert rows[0][5] == "0.80 ± ?"


def test_the_table_of_few_runs_holds_limits_with_and_without_the_allowance_for_new_ones() -> None:
    head, *rows = cells(of_few([ON_CAMERA, *FEW]))
    assert [row[:2] for row in rows] == [["5", "2"], ["40", "1"]]
    assert all(len(row) == len(head) for row in rows)
    assert rows[0][2:] == ["1.20 ± 0.00", "1.10 ± 0.00", "0.20", "1.20 ± 0.40", "0.80 ± 0.30", "50%"]


def test_the_table_of_the_power_holds_both_ways_beside_each_other() -> None:
    text = of_power(POWER)
    head, *rows = cells(text)
    assert head == ["false events in 600 runs", "budget: found", "per frame: found"]
    assert rows[0] == ["3", "0.500 [0.450, 0.550]", "0.250 [0.208, 0.295]"]
    assert rows[1] == ["10", "1.000 [0.991, 1.000]", "0.000 [0.000, 0.009]"]
    assert text.startswith("400 anomalies")


def test_the_table_of_runs_never_seen_has_no_interval_where_a_method_gives_none() -> None:
    head, row = cells(of_groups(GROUPS))
    assert head[2:] == ["pooled: rate", "new runs over", "random effects: rate", "new runs over", "interval holds"]
    assert row == ["0.5", "3", "2.33 (0.08 to 1.40)", "20%", "0.67 (0.08 to 1.40)", "20%", "92%"]


def test_the_picture_has_two_marks_for_every_row_each_at_its_mean() -> None:
    root = ElementTree.fromstring(draw(STREAMS))
    said = {mark.findtext(f"{SVG}title"): mark for mark in root if mark.find(f"{SVG}title") is not None}
    limits = {name: float(mark.attrib["cx"]) for name, mark in said.items() if name and mark.tag == f"{SVG}circle"}
    rows = {name: where for name, where in limits.items() if name.partition(",")[2]}
    assert len(rows) == len(STREAMS)
    assert len(said) - len(limits) == len(STREAMS) + 1  # squares, and the one that says what they are
    near, far = rows["AR(1) 0.9, 10 events allowed: 0.99"], rows["floor, 2 events allowed: 1.10"]
    assert near < rows["AR(1) 0.9, 3 events allowed: 1.05"] < far
    assert "AR(1) 0.9, 0.3 (extrapolated) events allowed: 1.05" in rows


def test_the_picture_holds_all_that_it_draws_and_names_its_axes() -> None:
    text = draw([msgspec.structs.replace(row, high=37.0) for row in STREAMS])
    root = ElementTree.fromstring(text)
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    for line in root.iter(f"{SVG}line"):
        assert 0 <= float(line.attrib["x1"]) <= float(line.attrib["x2"]) <= width
        assert 0 <= float(line.attrib["y1"]) <= float(line.attrib["y2"]) <= height
    assert "events realised / events allowed (no unit; 1 is the budget)" in text
    assert "in a calibration" in text


@pytest.mark.parametrize(("command", "measured", "places"), COMMANDS)
def test_tables_are_written_again_from_figures_that_were_kept(
    command: Callable[[], None],
    measured: object,
    places: tuple[str, ...],
    document: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before, kept = document.read_text(), document.parent / "figures.json"
    keep(kept, measured)
    monkeypatch.setattr("sys.argv", ["promise", "--from", str(kept), "--out", str(document)])
    command()
    once = document.read_text()
    assert capsys.readouterr().out
    for place in PLACES:
        inside = once.split(f"<!-- begin {place} -->")[1].split(f"<!-- end {place} -->")[0]
        assert ("| --- |" in inside) == (place in places)
    command()
    assert document.read_text() == once != before


def test_the_picture_stands_where_the_document_says(document: Path) -> None:
    streams.written(STREAMS, document)
    (named,) = re.findall(r"!\[.*\]\((.*)\)", document.read_text())
    assert (document.parent / named).read_text() == draw(STREAMS)


@pytest.mark.parametrize(("measured", "kind"), [(STREAMS, list[OnStream]), (CAMERA, Camera), (GROUPS, list[OnGroups])])
def test_figures_come_back_as_they_were_kept(measured: object, kind: type[object], tmp_path: Path) -> None:
    keep(tmp_path / "figures.json", measured)
    assert read(tmp_path / "figures.json", kind) == measured


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--from", "{there}/other.json"], "holds no figures of this benchmark, measure them anew"),
        (["--from", "{there}/none.json"], "No such file"),
        (["--out", "{there}/none.md"], "a document that is there"),
        (["--out", "{there}/other.md"], "no place for promise-streams"),
        (["--calibrations", "1"], "a spread takes two"),
    ],
)
def test_bad_files_are_told_in_one_line_before_anything_is_measured(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.json").write_text('[{"stream": "AR(1) 0"}]')
    (tmp_path / "other.md").write_text("# No markers\n")
    monkeypatch.setattr("sys.argv", ["promise", *[word.format(there=tmp_path) for word in words]])
    with pytest.raises(SystemExit) as done:
        streams.main()
    assert done.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_power_measured_alone_keeps_the_other_figures_that_were_there(
    document: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = document.parent / "camera.json"
    keep(kept, Camera(calibrations=CAMERA.calibrations, few=CAMERA.few))
    seeds: list[int] = []
    monkeypatch.setattr(camera, "_trained", lambda: None)
    monkeypatch.setattr(camera, "_normal", lambda _, seed: seeds.append(seed))
    monkeypatch.setattr(camera, "_anomalous", lambda _, seed: seeds.append(seed))
    monkeypatch.setattr(camera, "_power", lambda calibration, ahead, anomalous: POWER)
    sizes = ["--runs", "2", "--calibrations", "3", "--fresh", "2", "--anomalous", "1"]
    monkeypatch.setattr("sys.argv", ["camera", "--part", "power", "--json", str(kept), "--out", str(document), *sizes])
    camera.main()
    assert read(kept, Camera) == CAMERA
    first = camera.RUN_SEED
    assert sorted(seeds) == [*range(first, first + 8), camera.ANOMALOUS_SEED]
    assert "400 anomalies" in document.read_text()


def test_limits_md_has_a_place_for_every_table() -> None:
    text = DOCUMENT.read_text()
    for place in PLACES:
        assert replaced(text, place, "a table").count("a table") == text.count("a table") + 1


def test_a_table_is_put_between_its_markers_and_nowhere_else(document: Path) -> None:
    put(document, "promise-power", "a table")
    assert document.read_text().count("a table") == 1
    assert document.read_text().count("before\n") == len(PLACES)
