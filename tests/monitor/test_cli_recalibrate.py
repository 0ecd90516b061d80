"""`framewatch recalibrate`: nothing is written without a person's approval, and a refusal is one line."""

import json
import re
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from budget import CONFIG, RATE_HZ, with_budget
from cli_example import Desk, assert_refused
from frames import normal
from promise_example import block

from monitor import bundle as bundles
from monitor.blockstore import BlockStore
from monitor.bundle import Bundle
from monitor.journal.store import Journal
from monitor.promise import kept_block_frames

WHY = ("--why", "a new optic")


@pytest.fixture(scope="module")
def budgeted(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return with_budget(small_bundle, tmp_path_factory.mktemp("budget") / "bundle")


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, budgeted: Bundle) -> Desk:
    """A folder with a bundle, the configuration of its daemon, its journal, and the blocks that it kept."""
    monkeypatch.chdir(tmp_path)
    bundles.write(tmp_path / "bundle", budgeted.manifest, budgeted.tensors, "a report")
    keep(tmp_path / "framewatch.blocks.db", budgeted)
    Journal(tmp_path / "framewatch.db", "camera").close()
    made = Desk(tmp_path, capsys)
    configure(made)
    return made


def configure(desk: Desk, **sections: object) -> None:
    settings = CONFIG.calibration
    calibration = {
        "false_alarms_per_hour": settings.false_alarms_per_hour,
        "false_alarm_rate": settings.false_alarm_rate,
        "memories_s": list(settings.memories_s),
    }
    document = {
        "bundle": "bundle",
        "events": {"k": 2, "n": 3},
        "input": {"rate_hz": RATE_HZ},
        "calibration": calibration,
    }
    desk.file("framewatch.yaml", yaml.safe_dump({**document, **sections}))


def keep(path: Path, bundle: Bundle, count: int = 300) -> None:
    held = bundle.manifest
    assert held.budget is not None
    frames = kept_block_frames(held.budget)
    extremes = np.random.default_rng(0).gumbel(1.5, 0.3, count).tolist()
    with closing(BlockStore(path)) as store:
        store.add(
            [
                block(number, scale=held.scale, frames=frames, judged_s=frames / RATE_HZ, extreme=extreme)
                for number, extreme in enumerate(extremes)
            ]
        )


def asked(desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: Callable[[str], str]) -> list[str]:
    """As in a terminal, where a person gives an *answer* to what is asked."""
    questions: list[str] = []

    def ask(question: str) -> str:
        questions.append(question)
        return answer(question)

    monkeypatch.setattr("builtins.input", ask)
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    return questions


RECALIBRATE = ("recalibrate", "--config", "framewatch.yaml", *WHY)


def test_kept_blocks_become_limits_once_a_person_says_yes(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    old = bundles.read(desk.folder / "bundle")
    questions = asked(desk, monkeypatch, lambda _: "y")
    ended = desk.run(*RECALIBRATE, "--by", "A. Person")
    assert (ended.status, ended.err) == (0, "")
    assert questions == [f"replace the limits of {desk.folder / 'bundle'}? [y/N] "]
    new = bundles.read(desk.folder / "bundle")
    assert new.sha256 != old.sha256
    [earlier] = new.manifest.history
    assert (earlier.by, earlier.why) == ("A. Person", "a new optic")
    assert not new.manifest.extrapolated
    for told in (
        f"{old.manifest.limits['t2'].value:.4g}",
        f"{new.manifest.limits['t2'].value:.4g}",
        "now: extrapolated: ",
        "new: about ",
        "restart the daemon to use them",
    ):
        assert told in ended.out


@pytest.mark.parametrize("answer", ["", "n", "yes, but", "Y es"])
def test_without_a_yes_nothing_is_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    before = desk.contents()
    asked(desk, monkeypatch, lambda _: answer)
    ended = desk.run(*RECALIBRATE)
    assert (ended.status, ended.err) == (1, "")
    assert "nothing was changed" in ended.out
    assert bundles.read(desk.folder / "bundle").manifest.history == ()
    after = desk.contents()
    assert {name: after[name] for name in before} == before


def test_without_a_terminal_a_person_approves_beforehand(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    asked(desk, monkeypatch, lambda _: pytest.fail("nobody is there to answer"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: False, raising=False)
    assert "a person approves new limits: run it in a terminal, or say --yes" in desk.refuse(*RECALIBRATE)
    ended = desk.run(*RECALIBRATE, "--yes")
    assert (ended.status, ended.err) == (0, "")
    assert len(bundles.read(desk.folder / "bundle").manifest.history) == 1


def test_who_approves_is_who_runs_it_unless_named(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "operator-3")
    desk.run(*RECALIBRATE, "--yes")
    [earlier] = bundles.read(desk.folder / "bundle").manifest.history
    assert earlier.by == "operator-3"


def test_a_clean_stretch_sets_limits_and_writes_a_report(desk: Desk) -> None:
    for index in range(2):
        desk.recording(f"clean_{index}", normal(700, 90 + index))
    old = bundles.read(desk.folder / "bundle")
    ended = desk.run(*RECALIBRATE, "clean_0.npy", "clean_1.npy", "--yes")
    assert (ended.status, ended.err) == (0, "")
    new = bundles.read(desk.folder / "bundle")
    assert new.manifest.scale != old.manifest.scale
    assert [group.name for group in new.manifest.groups if group.role == "limits"] == ["clean_0.npy", "clean_1.npy"]
    assert "clean_1.npy" in (desk.folder / "bundle" / bundles.REPORT).read_text()
    weights = bundles.WEIGHTS
    assert new.manifest.files[weights] == old.manifest.files[weights]


def test_what_to_know_of_new_limits_is_told_before_a_person_agrees(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The chart that remembers goes, and frames are frozen: both are said, and nothing is changed without a yes."""
    frames = normal(1400, 90)
    frames[600:700] = frames[600]
    desk.recording("clean", frames)
    configure(desk, calibration={"false_alarms_per_hour": 7.0, "memories_s": [100.0]})
    asked(desk, monkeypatch, lambda _: "n")
    ended = desk.run(*RECALIBRATE, "clean.npy")
    assert ended.status == 1
    told = " ".join(ended.out.split())
    assert "calibration.false_alarms_per_hour is 7, the bundle's limits keep to 60" in told
    assert re.search(r"mewma [0-9.]+ none", told)
    assert "warning: clean.npy: " in told
    assert "frozen, the first is number 60" in told


def test_an_alarm_that_is_named_but_unknown_is_refused(desk: Desk) -> None:
    sha256 = bundles.read(desk.folder / "bundle").sha256
    ended = desk.run(*RECALIBRATE, "--true", "0123-beef", "--yes")
    assert_refused(ended, 1)
    assert "--true 0123-beef: no alarm of a chart has this name" in ended.err
    assert bundles.read(desk.folder / "bundle").sha256 == sha256


def test_limits_per_frame_are_refused_where_blocks_were_to_set_them(desk: Desk, small_bundle: Bundle) -> None:
    bundles.write(desk.folder / "bundle", small_bundle.manifest, small_bundle.tensors, None)
    ended = desk.run(*RECALIBRATE, "--yes")
    assert_refused(ended, 1)
    assert "its limits are per frame: recalibrate from a clean stretch" in ended.err


def test_without_a_daemon_that_has_run_it_says_where_blocks_come_from(desk: Desk) -> None:
    configure(desk, journal="other.db")
    assert "other.blocks.db: is not there; a daemon writes it" in desk.refuse(*RECALIBRATE, "--yes")


def test_without_the_journal_nobody_knows_what_was_judged_true(desk: Desk) -> None:
    (desk.folder / "framewatch.db").unlink()
    assert "framewatch.db cannot be opened" in desk.refuse(*RECALIBRATE, "--yes")
    assert not (desk.folder / "framewatch.db").exists()


def test_a_configuration_without_a_bundle_is_refused(desk: Desk) -> None:
    configure(desk, bundle=None)
    assert "names no bundle" in desk.refuse(*RECALIBRATE, "--yes")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--config", "framewatch.yaml"), "--why"),
        (WHY, "--config"),
        ((*WHY, "--config", "framewatch.yaml", "--rate", "fast"), "--rate: 'fast' is no number"),
    ],
)
def test_what_is_missing_is_named(desk: Desk, arguments: tuple[str, ...], says: str) -> None:
    assert says in desk.refuse("recalibrate", *arguments)


def test_it_says_what_it_is_for(desk: Desk) -> None:
    ended = desk.run("recalibrate", "--help")
    assert (ended.status, ended.err) == (0, "")
    for option in ("--config", "--why", "--by", "--yes", "--true", "--rate", "--in"):
        assert option in ended.out
    assert "without training" in ended.out


def test_the_manifest_stays_plain_json(desk: Desk) -> None:
    desk.run(*RECALIBRATE, "--yes", "--by", "Ä")
    manifest = json.loads((desk.folder / "bundle" / bundles.MANIFEST).read_text())
    assert manifest["history"][0]["by"] == "Ä"
