"""A simulated camera from the command line: what it refuses, and the truth that it writes beside its frames."""

from pathlib import Path

import pytest
from cli_example import FRESH, Desk, assert_refused
from key_examples import Ring

from monitor.camera.simulate import read_truth


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


@pytest.mark.parametrize(
    ("camera", "kinds"),
    [
        (("meltpool",), "splash,keyhole"),
        (("meltpool", "--bank", "400", "--recoat", "0"), "splash"),
        (("stem",), "vacancy, grain_boundary"),
        (("stem", "--mode", "images"), "contamination"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_simulated_camera_writes_its_truth(desk: Desk, camera: tuple[str, ...], kinds: str) -> None:
    ended = desk.run(
        *("simulate", *camera, "--endpoint", "tcp://127.0.0.1:0", "--rate", 20_000, "--frames", 1500),
        *("--size", "16x24", "--anomaly-rate", 0.05, "--kinds", kinds, "--truth", "truth.jsonl", "--wait", 0.01),
    )
    assert ended.status == 0
    assert ended.err == "framewatch: nobody listened at the start; what a PUB socket sends to nobody is gone\n"
    assert "sent 1500 frames in " in ended.out
    truths = read_truth(desk.folder / "truth.jsonl")
    assert {truth.kind for truth in truths} == {kind.strip() for kind in kinds.split(",")}
    assert all(0 <= truth.first_seq <= truth.last_seq < 1500 for truth in truths)
    exposed_ns = [truth.first_t_ns or 0 for truth in truths]
    assert exposed_ns == sorted(exposed_ns)
    assert exposed_ns[0] > 0


def a_few_frames(desk: Desk, command: str, endpoint: str, *more: object) -> tuple[object, ...]:
    """A camera that shows a few frames to whoever is there, which is nobody."""
    what = ("meltpool", "--frames", 3, "--size", 16) if command == "simulate" else (desk.recording("few", FRESH[:3]),)
    return (command, *what, "--endpoint", endpoint, "--rate", 1000, "--wait", 0.01, *more)


@pytest.mark.parametrize("command", ["simulate", "replay"])
@pytest.mark.parametrize("endpoint", ["tcp://*:0", "tcp://0.0.0.0:0"])
def test_a_camera_binds_beyond_loopback_only_with_keys_or_where_it_is_said(
    desk: Desk, command: str, endpoint: str
) -> None:
    desk.recording("few", FRESH[:3])
    said = desk.refuse(*a_few_frames(desk, command, endpoint))
    assert said.startswith(f"framewatch: --endpoint: {endpoint} can be reached from other machines and asks for no key")
    assert desk.run(*a_few_frames(desk, command, endpoint, "--insecure")).status == 0
    ring = Ring(desk.folder)
    keyed = ("--secret", ring.secret, "--clients", ring.clients)
    assert desk.run(*a_few_frames(desk, command, endpoint, *keyed)).status == 0


@pytest.mark.parametrize("command", ["simulate", "replay"])
def test_a_camera_that_connects_opens_no_door(desk: Desk, command: str) -> None:
    assert desk.run(*a_few_frames(desk, command, "tcp://192.0.2.1:5555", "--connect")).status == 0


def test_a_truth_file_that_cannot_be_made_is_named(desk: Desk) -> None:
    ended = desk.run(
        *("simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, "--truth", "none/truth.jsonl")
    )
    assert_refused(ended, 1)
    assert "none/truth.jsonl: No such file or directory" in ended.err


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("--size", "0x64", "0 must be at least 1"),
        ("--size", "axb", "'a' is no whole number"),
        ("--size", "x64", "'' is no whole number"),
        ("--anomaly-rate", "2", "2 must lie between 0 and 1"),
        ("--anomaly-rate", "nan", "nan must lie between 0 and 1"),
        ("--seed", "-1", "-1 must be at least 0"),
        ("--frames", "1.5", "'1.5' is no whole number"),
        ("--frames-per-message", "0", "0 must be at least 1"),
        ("--wait", "inf", "inf must be above 0"),
        ("--camera", "x" * 65, "must be a name of 1 to 64"),
        ("--socket", "dealer", "invalid choice: 'dealer'"),
        ("--mode", "spectra", "invalid choice: 'spectra'"),
        ("--recoat", "-1", "-1 must not be below 0"),
        ("--bank", "0", "0 must be at least 1"),
        ("--kinds", "", "'' must be names with commas between them"),
        ("--kinds", "splash,,dim", "'splash,,dim' must be names with commas between them"),
    ],
)
def test_a_simulated_camera_refuses_what_makes_no_sense(desk: Desk, option: str, value: str, says: str) -> None:
    said = desk.refuse("simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, f"{option}={value}")
    assert f"argument {option}: " in said
    assert says in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("meltpool", "--size", "8"), "meltpool: a side of 8 pixels: 16 to 576 are possible"),
        (("meltpool", "--size", "64x1000"), "meltpool: a side of 1000 pixels: 16 to 576 are possible"),
        (("meltpool", "--kinds", "splash,meteor"), "meltpool: no such anomaly: meteor; there are "),
        (("meltpool", "--mode", "images"), "--mode says what a stem camera shows; leave it out with meltpool"),
        (("stem", "--bank", "100"), "stem images: only the meltpool has a bank of frames"),
        (("stem", "--recoat", "0"), "stem images: only the meltpool has a bank of frames and pauses for recoating"),
        (("stem", "--size", "64x4096"), "stem images: a side of 4096 pixels: 16 to 2048 are possible"),
        (("stem", "--kinds", "splash"), "stem images: no such anomaly: splash; there are vacancy"),
        (("stem", "--mode", "diffraction", "--kinds", "meteor"), "stem diffraction: no such anomaly: meteor; there "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_camera_that_cannot_be_simulated_is_told_before_anything_is_opened(
    desk: Desk, arguments: tuple[str, ...], says: str
) -> None:
    said = desk.refuse(
        "simulate", *arguments, "--endpoint", "tcp://127.0.0.1:0", "--rate", 100, "--truth", "truth.jsonl"
    )
    assert said.startswith(f"framewatch: {says}")
