"""Documents whose tables benchmarks write: between markers, again and again, prose around them left alone."""

from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from pathlib import Path


def replaced(document: str, name: str, text: str) -> str:
    """*document* with *text* between the markers of *name*. Raises ValueError where there are none."""
    begin, end = f"<!-- begin {name} -->\n", f"<!-- end {name} -->\n"
    if document.count(begin) != 1 or document.count(end) != 1:
        raise ValueError(f"the document has no place for {name}: {begin.strip()} ... {end.strip()}")
    head, rest = document.split(begin)
    return head + begin + "\n" + text + "\n" + end + rest.split(end)[1]


def put(out: Path, name: str, text: str) -> None:
    """Writes *text* between the markers of *name* in the document *out*. Raises ValueError where there are none."""
    out.write_text(replaced(out.read_text(), name, text))


def with_places(*names: str) -> Callable[[str], Path]:
    """What argparse takes a document by: one that is there and has a place for each of *names*."""

    def document(path: str) -> Path:
        if not Path(path).is_file():
            raise ArgumentTypeError(f"{path}: tables are written between the markers of a document that is there")
        try:
            for name in names:
                replaced(Path(path).read_text(), name, "")
        except ValueError as missing:
            raise ArgumentTypeError(f"{path}: {missing}") from None
        return Path(path)

    return document


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows of text as a markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"
