"""What the commands show of a calibration: nothing that cannot be known, and which training is under way."""

import io

import msgspec
import pytest
from rich.console import Console

from monitor import screen
from monitor.bundle import Bundle


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    """What is printed, as into a file."""
    text = io.StringIO()
    monkeypatch.setattr(screen, "out", Console(file=text, width=200, highlight=False, soft_wrap=True))
    return text


HEADINGS = ("id", "state", "over", "verdict", "recording")
ROWS = [
    ("18ecf3a6bb4a67f5-42536f83", "active, unacknowledged", "12", "", "20261130T223830.448Z_fa823aec_25.h5"),
    ("18ecf3a1ec0a67f3-42536f83", "cleared, acknowledged", "7", "true", "20261130T223819.245Z_fa823aec_11.h5"),
]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_whatever_is_listed_in_a_window_no_cell_is_cut(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    text = io.StringIO()
    monkeypatch.setattr(screen, "out", Console(file=text, width=width, force_terminal=True, color_system=None))
    screen.listing(HEADINGS, ROWS, ("over",))
    lines = text.getvalue().splitlines()
    assert max(len(line.rstrip()) for line in lines) <= width
    for row in ROWS:
        for name in (row[0], row[-1]):
            assert sum(name in line for line in lines) == 1
    assert "…" not in text.getvalue()
    assert len([line for line in lines if line.strip()]) == {40: 8, 80: 6, 120: 4, 200: 4}[width]


def test_a_list_in_a_file_has_a_line_a_row_however_wide(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "out", screen._console(width=screen.LOG_WIDTH))
    screen.listing(HEADINGS, [(*row[:-1], "x" * 300) for row in ROWS], ("over",))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert [row.split()[-1] for row in rows] == ["x" * 300] * len(ROWS)


def with_limits(bundle: Bundle, **changes: object) -> Bundle:
    limits = {name: msgspec.structs.replace(limit, **changes) for name, limit in bundle.manifest.limits.items()}
    return bundle._replace(manifest=msgspec.structs.replace(bundle.manifest, limits=limits))


def test_an_extrapolated_limit_is_shown_without_interval(small_bundle: Bundle, shown: io.StringIO) -> None:
    screen.show_bundle(with_limits(small_bundle, extrapolated=True, low=1.25, high=77.5))
    text = shown.getvalue()
    assert text.count("cannot be known  ") == 4
    assert "too few frames for that rate" in text
    assert "1.25 to 77.5" not in text


def test_a_supported_limit_is_shown_with_its_interval(small_bundle: Bundle, shown: io.StringIO) -> None:
    screen.show_bundle(with_limits(small_bundle, extrapolated=False, low=1.25, high=77.5))
    text = shown.getvalue()
    assert text.count("1.25 to 77.5") == 4
    assert "extrapolated:" not in text


@pytest.mark.parametrize(("more", "told"), [(1, "in 1 more group\n"), (2, "in 2 more groups\n")])
def test_groups_that_are_not_listed_are_counted(small_bundle: Bundle, shown: io.StringIO, more: int, told: str) -> None:
    groups = small_bundle.manifest.groups[: screen.GROUPS_SHOWN + more]
    screen.show_bundle(small_bundle._replace(manifest=msgspec.structs.replace(small_bundle.manifest, groups=groups)))
    assert told in shown.getvalue()


def test_the_bar_says_which_training_it_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    text = io.StringIO()
    monkeypatch.setattr(screen, "err", Console(file=text, width=120, force_terminal=True))
    with screen.training() as move:
        for what in ("trying latent 2 (1 of 2 sizes)", "training"):
            move(10, 20, 0.5, what)
            move(20, 20, 0.25, what)
    [last] = [line for line in text.getvalue().splitlines() if "20/20" in line][-1:]
    assert "training" in last
    assert "sizes" not in last
    assert "0.2500" in last
