"""`framewatch taxonomy compare`: which events, embeddings and labels are meant, and what was found as a table."""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from monitor import config as configs
from monitor import screen
from monitor.taxonomy.events import EVENTS_MAX, CompareError, kept, recorded
from monitor.taxonomy.labels import FOLDERS, source
from monitor.taxonomy.launcher import QUIET

if TYPE_CHECKING:
    from monitor.taxonomy.compare import Comparison, Grouped

NICE: Final = 19


def compare(options: argparse.Namespace) -> int:
    """Compare, tell, and write the page; raises CompareError and others in one line."""
    if options.labels == FOLDERS and not options.paths:
        raise CompareError("--labels folders: only frames of --from lie in folders")
    out = None if options.out is None else Path(options.out)
    if out is not None and (out.is_dir() or not out.parent.is_dir()):
        raise CompareError(f"--out {out}: is a folder, or stands in none; name a file in a folder that is there")
    config = configs.read(Path(options.config))
    if config.bundle is None:
        raise CompareError(f"{options.config}: names no bundle, without which there are no points to group")
    labels = source(options.labels)
    _at_leisure()
    # Loaded now that threads are counted: some take seconds, and none is needed to refuse.
    from models.taxonomy.ways import MOST, Numbers
    from monitor.bundle import read as read_bundle
    from monitor.camera.recordings import groups
    from monitor.score import load_scorer, require_fit
    from monitor.taxonomy import compare as comparison
    from monitor.taxonomy.compare_page import render
    from monitor.taxonomy.group import settings_of
    from monitor.taxonomy.telling import write

    bundle = read_bundle(Path(config.bundle))
    recordings = groups(options.paths)
    require_fit(bundle, recordings)
    configured = None if config.taxonomy.embedding is None else Path(config.taxonomy.embedding)
    made_by = comparison.makers(bundle, load_scorer(bundle), [Path(one) for one in options.embedding], configured)
    found = comparison.compare(
        config.camera,
        bundle,
        recorded(recordings) if recordings else kept(config, bundle),
        made_by,
        labels,
        settings_of(config.taxonomy),
        Numbers(options.most or MOST, options.kinds),
        time.monotonic,
        time.time_ns(),
    )
    if out is not None:
        write(out, render(found).encode())
    if options.json:
        screen.say(comparison.as_bytes(found).decode())
    else:
        _show(found, out)
    return 0


def _at_leisure() -> None:
    """Behind everybody else, in one thread: a daemon may run beside it."""
    os.nice(NICE)
    for name, threads in QUIET.items():
        os.environ.setdefault(name, threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)


def _show(found: "Comparison", out: Path | None) -> None:
    table = screen.plain_table()
    for heading in ("embedding", "way", "groups", "chosen by", "silhouette", "elbow", "apart", "ARI", "NMI", "seconds"):
        words = heading in ("embedding", "way", "chosen by")
        table.add_column(heading, justify="left" if words else "right", no_wrap=True)
    for one in found.embeddings:
        for grouped in one.ways:
            table.add_row(one.name, grouped.way.name, *_cells(grouped))
    screen.out.print(table)
    ways = sum(len(one.ways) for one in found.embeddings)
    left = f"; {found.left_out}" if found.left_out else ""
    screen.say(
        f"{len(found.events):,} events ({EVENTS_MAX:,} at most){left}; {ways} groupings in {found.seconds:.1f} s, "
        "one thread"
    )
    if found.labelled is not None:
        screen.say(f"{found.labelled.known:,} events have labels, from {found.labelled.source}; labels chose nothing")
    if out is not None:
        screen.say(f"page: {out}")


def _cells(given: "Grouped") -> tuple[str, ...]:
    way, held = given.way, given.held
    return (
        f"{way.groups}" if way.discrete else f"no kinds, {way.groups}",
        way.by,
        f"{way.silhouette:.2f}" if way.groups > 1 else "-",
        "-" if way.curve is None else f"{way.curve.at_elbow}",
        f"{way.few}",
        "-" if held is None else f"{held.agreement.ari:.2f}",
        "-" if held is None else f"{held.agreement.nmi:.2f}",
        f"{given.seconds:.1f}",
    )
