"""Whether recorded anomalies of one kind lie together: `python -m tests.benchmarks.kinds_real`.

Reads the frames of stem-sto, graphene-si and steel-neu from the folder that FRAMEWATCH_DATA names (docs/data.md).
Prints, for several embeddings, how far clusters agree with the kinds that people gave: adjusted Rand index and
normalised mutual information, by k-means, a mixture of Gaussians and agglomeration (Ward) into as many clusters as
there are kinds; the mean over repetitions, and the smallest and largest. Labels are used for nothing else.
With `--out docs/taxonomy_embeddings.md` the tables are written there; `--json FILE` keeps every figure.
"""

import argparse
import sys
from pathlib import Path

import msgspec

from tests.benchmarks.document import put, with_places
from tests.benchmarks.evaluate.splits import MissingDataError
from tests.benchmarks.kinds.found import Found
from tests.benchmarks.kinds.studies import graphene, stem, textures
from tests.benchmarks.kinds.tables import table_of

STUDIES = {"stem-sto": stem, "graphene-si": graphene, "steel-neu": textures}
PLACES = {name: f"kinds-{name}" for name in STUDIES}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=tuple(STUDIES), action="append", help="this data set alone; may be repeated")
    parser.add_argument("--seeds", type=int, default=3, help="repetitions (default: 3)")
    parser.add_argument("--quick", action="store_true", help="a smoke run: few frames, hardly any training")
    parser.add_argument("--json", type=Path, help="where every figure is kept")
    parser.add_argument("--from", dest="kept", type=Path, nargs="+", help="figures kept before, in place of measuring")
    parser.add_argument("--out", type=with_places(*PLACES.values()), help="the document whose tables are written")
    options = parser.parse_args()
    try:
        found = _kept(options.kept) if options.kept else _measured(options)
    except MissingDataError as missing:
        sys.exit(str(missing))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1))
    for name, place in PLACES.items():
        rows = [one for one in found if one.data.startswith(name)]
        if rows and options.out:
            put(options.out, place, table_of(rows))


def _measured(options: argparse.Namespace) -> list[Found]:
    found = []
    for name, study in STUDIES.items():
        if options.only and name not in options.only:
            continue
        rows = list(study(options.seeds, options.quick))
        sys.stdout.write(table_of(rows) + "\n")
        sys.stdout.flush()
        found += rows
    return found


def _kept(files: list[Path]) -> list[Found]:
    found = [one for file in files for one in msgspec.json.decode(file.read_bytes(), type=list[Found])]
    sys.stdout.write(table_of(found))
    return found


if __name__ == "__main__":
    main()
