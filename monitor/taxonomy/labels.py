"""What people say that events are: names of kinds, a CSV file, the truth of a simulated camera, or folders' names."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from monitor.camera.simulate import TruthError, read_truth
from monitor.taxonomy.events import CompareError, Event

FOLDERS: Final = "folders"
NAMED: Final = "names that people gave to kinds"

Labeller = Callable[[Event], str]
"""What an event is; empty where nobody has said."""


class Source(NamedTuple):
    """Where labels are from."""

    name: str
    labeller: Labeller
    is_asked: bool  # somebody named it: then it is to label something


class Labelled(NamedTuple):
    """A label for each event, and where they are from."""

    labels: list[str]  # (n,) empty: none
    source: str

    @property
    def known(self) -> int:
        return sum(map(bool, self.labels))


def source(given: str | None) -> Source:
    """`folders`, a file, or, where nothing is *given*, names of kinds. Raises CompareError for files of no use."""
    if given is None:
        return Source(NAMED, lambda event: event.kind, False)
    if given == FOLDERS:
        return Source("names of folders", lambda event: _folder_of(event.stream), True)
    labeller = _from_truth(Path(given)) if given.endswith(".jsonl") else _from_csv(Path(given))
    return Source(given, labeller, True)


def label(events: Sequence[Event], by: Source) -> Labelled | None:
    """Labels of *events*; None where none is labelled. Raises CompareError where that was asked for."""
    found = Labelled([by.labeller(one) for one in events], by.name)
    if found.known:
        return found
    if by.is_asked:
        raise CompareError(f"{by.name}: labels none of the {len(events)} events; are they of this camera and stream?")
    return None


def _folder_of(name: str) -> str:
    """That recorded frames lie in: the folder itself, or that of a file, or of a file that is named with a dataset."""
    path = Path(name)
    if not path.exists():
        path = Path(name.partition(":/")[0])
    path = path.resolve()
    return path.name if path.is_dir() else path.parent.name


def _from_truth(path: Path) -> Labeller:
    """By the anomalies that `framewatch simulate --truth` wrote."""
    try:
        truths = read_truth(path)
    except OSError as error:
        raise CompareError(f"{path}: {error.strerror}") from None
    except TruthError as error:
        raise CompareError(str(error)) from None

    def labeller(event: Event) -> str:
        return next((one.kind for one in truths if one.first_seq <= event.seq <= one.last_seq), "")

    return labeller


def _from_csv(path: Path) -> Labeller:
    """By columns `alarm` or `seq` (with `stream`, where there are several), and `label`."""
    by_alarm: dict[str, str] = {}
    by_frame: dict[tuple[str, int], str] = {}
    for number, row in _rows(path):
        said = row["label"]
        if not said:
            continue
        if row.get("alarm"):
            was = by_alarm.setdefault(row["alarm"], said)
        else:
            was = by_frame.setdefault((row.get("stream", ""), _seq(path, number, row)), said)
        if was != said:
            raise CompareError(f"{path}: line {number} says {said!r} of what an earlier line calls {was!r}")

    def labeller(event: Event) -> str:
        frame = by_frame.get((event.stream, event.seq), by_frame.get(("", event.seq), ""))
        return by_alarm.get(event.alarm or "", frame)

    return labeller


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Lines by number, and what they have in each column, without spaces around."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            read = csv.DictReader(file, skipinitialspace=True)
            columns = [(name or "").strip() for name in read.fieldnames or ()]
            if "label" not in columns or not {"alarm", "seq"} & set(columns):
                told = ", ".join(columns) or "none"
                raise CompareError(
                    f"{path}: needs columns label, and alarm or seq (with stream, if it has several); has {told}"
                )
            read.fieldnames = columns
            return [
                (read.line_num, {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)})
                for row in read
            ]
    except OSError as error:
        raise CompareError(f"{path}: {error.strerror}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise CompareError(f"{path}: is no CSV in UTF-8 ({error})") from None


def _seq(path: Path, number: int, row: dict[str, str]) -> int:
    try:
        return int(row.get("seq", ""))
    except ValueError:
        raise CompareError(f"{path}: line {number} names neither an alarm nor a frame's number") from None
