"""What people say that events are is found by alarm, frame, stretch or folder, and what makes no sense is refused."""

from pathlib import Path

import pytest

from monitor.taxonomy.events import CompareError, Event
from monitor.taxonomy.labels import label, source

EVENTS = [
    Event(1, "s", 10, alarm="a-1", kind="splash"),
    Event(2, "s", 20, alarm="a-2"),
    Event(3, "t", 10, alarm=None),
]


def file_of(folder: Path, text: str, name: str = "labels.csv") -> str:
    (folder / name).write_text(text)
    return str(folder / name)


def labels_of(given: str | None, events: list[Event] = EVENTS) -> list[str]:
    found = label(events, source(given))
    assert found is not None
    assert found.known == sum(map(bool, found.labels))
    return found.labels


def test_names_that_kinds_have_are_labels_where_nothing_else_is_given() -> None:
    assert labels_of(None) == ["splash", "", ""]
    assert label(EVENTS[1:], source(None)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alarm,label\na-1,x\na-2,y\n", ["x", "y", ""]),
        ("label,seq\nx,10\ny,20\n", ["x", "y", "x"]),
        ("seq,stream,label\n10,s,x\n10,t,z\n", ["x", "", "z"]),
        ("alarm,seq,stream,label\na-2,,,y\n,10,t,z\n", ["", "y", "z"]),
        ("\ufeffalarm, label\n a-1 , x \na-2,\n", ["x", "", ""]),
        ('alarm,label,note\na-1,"x, y",more\n', ["x, y", "", ""]),
        ("alarm,label\na-1,x\na-1,x\na-9,other\n", ["x", "", ""]),
    ],
    ids=["by alarm", "by frame", "by frame of a stream", "by either", "spaces", "quotes", "twice the same"],
)
def test_a_table_labels_by_alarm_or_by_frame(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert labels_of(file_of(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "has none"),
        ("alarm,kind\na-1,x\n", "needs columns label, and alarm or seq"),
        ("label,layer\nx,3\n", "has label, layer"),
        ("seq,label\nten,x\n", "line 2 names neither an alarm nor a frame's number"),
        ("alarm,label\na-1,x\na-1,y\n", "line 3 says 'y' of what an earlier line calls 'x'"),
        ("alarm,label\nb-1,x\n", "labels none of the 3 events"),
        ("alarm,label\na-1,\n", "labels none of the 3 events"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    path = file_of(tmp_path, text)
    with pytest.raises(CompareError, match=f"labels.csv: .*{told}"):
        label(EVENTS, source(path))


def test_a_file_that_is_not_there_or_no_text_is_refused_by_name(tmp_path: Path) -> None:
    for name in ("none.csv", "none.jsonl"):
        with pytest.raises(CompareError, match=f"{name}: No such file"):
            label(EVENTS, source(str(tmp_path / name)))
    (tmp_path / "labels.csv").write_bytes(b"label,seq\n\xff\xfe,1\n")
    with pytest.raises(CompareError, match="is no CSV in UTF-8"):
        label(EVENTS, source(str(tmp_path / "labels.csv")))


def test_the_truth_of_a_simulated_camera_labels_the_frames_that_it_shows(tmp_path: Path) -> None:
    line = '{"kind":"spatter","first_seq":8,"last_seq":10,"strength":1.0}\n'
    assert labels_of(file_of(tmp_path, line, "truth.jsonl")) == ["spatter", "", "spatter"]
    with pytest.raises(CompareError, match="line 1 is no truth"):
        label(EVENTS, source(file_of(tmp_path, "{}\n", "truth.jsonl")))


def test_recorded_frames_are_labelled_by_their_folder(tmp_path: Path) -> None:
    images, stack = tmp_path / "spatter", tmp_path / "plume" / "run.h5"
    images.mkdir()
    stack.parent.mkdir()
    stack.touch()
    events = [Event(index, name, 0) for index, name in enumerate((str(images), str(stack), f"{stack}:/frames"))]
    assert labels_of("folders", events) == ["spatter", "plume", "plume"]
