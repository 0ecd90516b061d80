"""The figures of the taxonomy as text for its document."""

from collections.abc import Callable, Sequence

from tests.benchmarks.document import table
from tests.benchmarks.taxonomy.figures import Figures, OnEvents, Way


def spread(values: Sequence[float], form: str = "{:.2f}") -> str:
    """The mean, and between which of the values it lies."""
    mean, low, high = (form.format(one) for one in (sum(values) / len(values), min(values), max(values)))
    return f"{mean} ({low} to {high})"


def of_ways(ways: Sequence[Way]) -> str:
    header = ("events", "way", "streams", "ARI", "NMI", "kinds told", "kinds found", "spurious", "kept apart")
    rows = [
        (
            way.scene,
            way.way,
            str(len(way.results)),
            spread([one.ari for one in way.results]),
            spread([one.nmi for one in way.results]),
            spread([one.told for one in way.results], "{:.3g}"),
            f"{_sum(way, lambda one: one.found)} of {_sum(way, lambda one: one.kinds)}",
            spread([one.spurious for one in way.results], "{:.2g}"),
            spread([one.few for one in way.results], "{:.2g}"),
        )
        for way in ways
    ]
    return table(header, rows)


def _sum(way: Way, of: Callable[[OnEvents], int]) -> int:
    return sum(map(of, way.results))


def of_sessions(figures: Figures) -> str:
    each = table(
        ("seed", "events", "ARI", "NMI", "kinds of 5 events or more", "found", "told", "spurious", "kept apart"),
        [
            (
                str(one.seed),
                str(one.events),
                f"{one.ari:.3f}",
                f"{one.nmi:.3f}",
                str(one.kinds),
                str(one.found),
                str(one.told),
                str(one.spurious),
                str(one.few),
            )
            for one in figures.sessions[0].results
        ],
    )
    shown = table(
        ("kind", *(f"seed {one.seed}" for one in figures.sessions[0].results)),
        [(kind, *map(str, counts)) for kind, counts in figures.shown.items()],
    )
    frames = f"Sessions of {figures.session_frames:,} frames each. Anomalies shown:\n\n"
    return f"{frames}{shown}\nBy default:\n\n{each}\nBy other ways:\n\n{of_ways(figures.sessions)}"


def of_lasting(figures: Figures) -> str:
    header = ("seed", "runs", "events", "kinds found", "under their first id", "ids in all", "came back as who it was")
    rows = [
        (
            str(one.seed),
            str(one.runs),
            str(one.events),
            f"{one.found} of {one.looked_for}",
            f"{one.kept} of {one.found}",
            str(one.ids),
            f"{one.vanished}: {'yes' if one.back else 'no'}",
        )
        for one in figures.lasting
    ]
    return table(header, rows)


def of_naming(figures: Figures) -> str:
    header = ("seed", "right", "unknown", "wrong", "unknown of a kind not seen before")
    rows = [
        (
            str(one.seed),
            f"{one.right:.2f}",
            f"{one.unknown:.2f}",
            f"{one.wrong:.2f}",
            ", ".join(f"{name} {share:.2f}" for name, share in one.strangers.items()),
        )
        for one in figures.naming
    ]
    return table(header, rows)


def of_cost(figures: Figures) -> str:
    rows = [
        (one.what, f"{one.seconds:.1f} s", f"{one.mib:.0f} MiB", f"{one.of_which_before:.0f} MiB")
        for one in figures.cost
    ]
    text = table(("5,000 points of 32 coordinates", "one core", "memory, at the most", "of it before"), rows)
    return (
        f"{text}\nNaming an event by 20 kinds: {figures.naming_us:.0f} µs; its point: {figures.embedding_ms:.2f} ms.\n"
    )
