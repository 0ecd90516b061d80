"""What the doctor says of the OPC UA server: its library and its files. Nothing is made and nothing listens."""

import importlib.util
from pathlib import Path

import pytest

pytest.importorskip("asyncua", reason="the extra opcua is not installed")

from monitor.finding import Finding
from monitor.sinks.opcua import certificate, check, users
from monitor.sinks.opcua.settings import Opcua

SECURED = Opcua(host="0.0.0.0", certificate="server.der", key="server.key", users="users")


@pytest.fixture
def secured(tmp_path: Path) -> Opcua:
    """With users and a pair that are fit."""
    (tmp_path / "users").write_text(users.line_of("anna", "correct horse") + "\n")
    (tmp_path / "users").chmod(0o600)
    certificate.load(tmp_path / "server.der", tmp_path / "server.key", "urn:here", "localhost")
    return SECURED.beside(tmp_path)


def found(config: Opcua) -> list[Finding]:
    findings = list(check.examine(config))
    assert all((one.grade == "ok") == (one.remedy == "") for one in findings)
    return findings


def test_a_server_on_loopback_needs_no_files() -> None:
    assert found(Opcua()) == [Finding("opcua", "ok", "everybody who reaches it may read without security")]


def test_files_that_are_fit_are_told(secured: Opcua, tmp_path: Path) -> None:
    [one] = found(secured)
    assert one.grade == "ok"
    assert one.found.startswith(f"1 user(s) in {tmp_path}/users; {tmp_path}/server.der is valid until 20")


def test_a_pair_that_is_missing_is_left_for_the_server_to_make(secured: Opcua, tmp_path: Path) -> None:
    for name in ("server.der", "server.key"):
        (tmp_path / name).unlink()
    [one] = found(secured)
    assert one.found.endswith(f"{tmp_path}/server.der and its key will be made")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["users"]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("users", None, "opcua.users: {folder}/users cannot be read"),
        ("users", "anna", "opcua.users: line 1 of {folder}/users is not name:salt:hash"),
        ("server.key", None, "opcua.certificate, opcua.key: {folder}/server.key: No such file or directory"),
        ("server.der", "no certificate", "opcua.certificate: {folder}/server.der holds no certificate"),
    ],
)
def test_a_file_that_is_missing_or_damaged_is_a_fault(
    secured: Opcua, tmp_path: Path, name: str, text: str | None, says: str
) -> None:
    (tmp_path / name).unlink()
    if text is not None:
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o600)
    [one] = found(secured)
    assert one.grade == "fault"
    assert one.found.startswith(says.format(folder=tmp_path))


def test_a_folder_in_which_no_pair_can_be_made_is_a_fault(secured: Opcua, tmp_path: Path) -> None:
    elsewhere = str(tmp_path / "none" / "file")
    [one] = found(Opcua(certificate=elsewhere, key=elsewhere))
    assert (one.grade, one.found) == (
        "fault",
        f"opcua.certificate, opcua.key: {tmp_path}/none is no folder that can be written",
    )


@pytest.mark.parametrize("name", ["users", "server.key"])
def test_a_secret_file_that_others_may_open_is_a_warning_of_its_own(secured: Opcua, tmp_path: Path, name: str) -> None:
    (tmp_path / name).chmod(0o644)
    _, one = found(secured)
    assert (one.grade, one.remedy) == ("warning", f"chmod 600 {tmp_path}/{name}")


def test_without_the_extra_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    [one] = found(Opcua())
    assert (one.grade, one.remedy) == ("fault", "install it with pip install 'framewatch[opcua]'")
