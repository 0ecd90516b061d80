"""What people say that events are: names of kinds, a CSV file, the truth of a simulated camera, or folders' names."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from monitor.camera.simulate import TruthError, read_truth
from monitor.taxonomy.events import CompareError, Event

FOLDERS: Final = "folders"

Labeller = Callable[[Event], str]
"""What an event is; empty where nobody has said."""


class Labelled(NamedTuple):
    """A label for each event, and where they are from."""

    labels: list[str]  # (n,) empty: none
    source: str

    @property
    def known(self) -> int:
        return sum(map(bool, self.labels))


def label(events: Sequence[Event], given: str | None) -> Labelled | None:
    """Labels of *events*: `folders`, a file, or, where nothing is *given*, names that kinds have; None where none has.

    Raises CompareError for a file that cannot be read, holds no labels, or labels none of these events.
    """
    if given is None:
        found = Labelled([one.kind for one in events], "names that people gave to kinds")
        return found if found.known else None
    if given == FOLDERS:
        return Labelled([_folder_of(one.stream) for one in events], "names of folders")
    labeller = _from_truth(Path(given)) if given.endswith(".jsonl") else _from_csv(Path(given))
    found = Labelled([labeller(one) for one in events], given)
    if not found.known:
        raise CompareError(f"{given}: labels none of the {len(events)} events; are they of this camera and stream?")
    return found


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
