"""Tables of how well framewatch finds anomalies, beside baselines: `python -m tests.benchmarks.evaluate`.

Writes between the markers of docs/detection.md what was run, prints the rest. Recorded frames come from the folder that
FRAMEWATCH_DATA names; without it these tables are left as they are. `--variant NAME KEY=VALUE ...` adds framewatch
with another configuration (keys of `calibration`) beside the usual one.
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import msgspec
import yaml

from monitor.config import Calibration
from tests.benchmarks.document import put, with_places
from tests.benchmarks.evaluate import recorded, simulated
from tests.benchmarks.evaluate.figures import Figures, judge
from tests.benchmarks.evaluate.methods import (
    Method,
    framewatch,
    mean_intensity,
    nearest_neighbour,
    pca,
    pool_features,
)
from tests.benchmarks.evaluate.splits import MissingDataError, Split
from tests.benchmarks.evaluate.tables import (
    Make,
    areas_by_kind,
    charts_by_kind,
    fired,
    found_by_kind,
    gains_by_kind,
    markdown,
    mixture,
    overview,
    plain,
)

RESAMPLES, RESAMPLES_QUICK = 400, 40


class DataSet(NamedTuple):
    """How to make its splits (quickly or not), and which tables are drawn of each."""

    splits: Callable[[bool], Iterator[Split]]
    tables: tuple[Make, ...]


BY_KIND: Final = (overview, areas_by_kind, gains_by_kind, charts_by_kind)
DATA_SETS: Final = {
    "stem-sto": DataSet(recorded.stem_sto, (*BY_KIND, found_by_kind)),
    "meltpool-nist": DataSet(recorded.meltpool_nist, (overview, areas_by_kind)),
    "graphene-si": DataSet(recorded.graphene, (overview, areas_by_kind)),
    "melt-pool": DataSet(
        simulated.melt_pool, (overview, mixture, areas_by_kind, gains_by_kind, charts_by_kind, found_by_kind)
    ),
    "stem-images": DataSet(simulated.stem_images, (*BY_KIND, found_by_kind)),
    "sanity": DataSet(simulated.sanity, (fired,)),
}

Variant = tuple[str, dict[str, Any]]


def methods_for(split: Split, variants: list[Variant]) -> list[Method]:
    """framewatch as the split sets it, its *variants*, and the baselines."""
    ours = [framewatch(split.settings, split.rate)]
    for name, changes in variants:
        settings = msgspec.convert(msgspec.to_builtins(split.settings) | changes, Calibration)
        ours.append(framewatch(settings, split.rate, name))
    return [*ours, pca(split.settings.latent, split.rate), mean_intensity(), pool_features(), nearest_neighbour()]


def evaluate(
    data_set: DataSet, variants: list[Variant], quick: bool, say: Callable[[str], None]
) -> dict[str, list[Any]]:
    """Name of each split -> its tables. Raises MissingDataError."""
    found = {}
    for split in data_set.splits(quick):
        judged = judge(split, methods_for(split, variants), say)
        say(f"{split.name}: intervals")
        figures = Figures(split, RESAMPLES_QUICK if quick else RESAMPLES)
        found[heading(split)] = [make(figures, judged) for make in data_set.tables]
    return found


def heading(split: Split) -> str:
    """The split in one line."""
    learned, held = (sum(map(len, groups)) for groups in (split.train, split.calibration))
    normal = int((~split.shown.anomalous).sum())
    blocks = len({*split.shown.blocks[split.shown.anomalous].tolist()})
    return (
        f"{split.name}: {learned:,} frames in {len(split.train)} groups train, {held:,} in {len(split.calibration)} "
        f"set limits; {normal:,} normal frames and {len(split.shown.frames) - normal:,} anomalous ones in {blocks:,} "
        "blocks are judged"
    )


def variant(words: list[str]) -> Variant:
    """NAME KEY=VALUE ... Raises ValueError."""
    name, *pairs = words
    changes = dict(pair.split("=", 1) for pair in pairs)
    return name, {key: yaml.safe_load(value) for key, value in changes.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=DATA_SETS, help="may be given several times")
    parser.add_argument("--variant", action="append", nargs="+", default=[], metavar="NAME KEY=VALUE")
    parser.add_argument("--quick", action="store_true", help="a smoke run: few frames and steps")
    parser.add_argument("--out", type=with_places(), help="a document with markers for the tables")
    parser.add_argument("--json", type=Path, help="the same figures for programs")
    options = parser.parse_args()
    begun = time.monotonic()

    def say(line: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:6.0f} s  {line}\n")

    results: dict[str, Any] = {}
    for name in options.only or DATA_SETS:
        try:
            found = evaluate(DATA_SETS[name], [variant(words) for words in options.variant], options.quick, say)
        except MissingDataError as missing:
            say(f"{name}: skipped, {missing}")
            continue
        text = "\n".join(f"{head}.\n\n" + "\n".join(map(markdown, tables)) for head, tables in found.items())
        results[name] = {head: [plain(table) for table in tables] for head, tables in found.items()}
        if options.out:
            put(options.out, name, text)
        else:
            sys.stdout.write(f"## {name}\n\n{text}\n")
        if options.json:
            options.json.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
