"""Key files: what is written, who may read it, and what is refused in one line."""

import os
import stat
from pathlib import Path

import pytest
import zmq
from cli_example import Desk
from key_examples import Ring

from monitor import keys
from monitor.config import Security
from monitor.keys import KeyFileError, Pair


@pytest.fixture
def desk(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path, capsys)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_pair_is_written_with_a_comment_and_only_the_owner_may_read_the_secret(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        secret, public = keys.make("plc", tmp_path)
    finally:
        os.umask(old)
    assert (secret, public) == (tmp_path / "plc.secret", tmp_path / "plc.public")
    assert mode(secret) == 0o600
    for path in (secret, public):
        comment, line = path.read_text().splitlines()
        assert comment.startswith("# ")
        assert len(line) == 40
    pair = keys.read_secret(secret)
    assert keys.read_public(public) == pair.public == zmq.curve_public(pair.secret)


def test_a_pair_is_never_shown_with_its_secret(tmp_path: Path) -> None:
    pair = keys.read_secret(keys.make("plc", tmp_path)[0])
    assert pair.secret.decode() not in f"{pair!r} {pair}"


def test_comments_and_empty_lines_are_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "odd.public"
    path.write_text("# one\n\n#two\n" + "1" * 40 + "\n# three\n")
    assert keys.read_public(path) == b"1" * 40


@pytest.mark.parametrize("there", ["plc.secret", "plc.public"])
def test_nothing_is_overwritten(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    with pytest.raises(KeyFileError, match=rf"{there}: is there already and is not overwritten"):
        keys.make("plc", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [there]
    assert (tmp_path / there).read_text() == "mine"


@pytest.mark.parametrize("others", [0o640, 0o604, 0o620, 0o610, 0o666])
def test_a_secret_that_others_may_open_is_refused_with_the_remedy(tmp_path: Path, others: int) -> None:
    secret, _ = keys.make("plc", tmp_path)
    secret.chmod(others)
    with pytest.raises(KeyFileError) as caught:
        keys.read_secret(secret)
    assert str(caught.value) == f"{secret}: others than its owner may read it; chmod 600 {secret}"


def test_a_credential_of_systemd_may_show_the_rights_of_an_access_list_as_those_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret, _ = keys.make("plc", tmp_path)
    secret.chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert keys.read_secret(secret)
    secret.chmod(0o444)
    with pytest.raises(KeyFileError, match="others than its owner may read it"):
        keys.read_secret(secret)
    assert keys.forbidden_to_others(Path("/run/credentials/framewatch@melt.service/http.token")) == 0o007


@pytest.mark.parametrize(
    "text", ["", "# only a comment\n", "short\n", "x" * 41, "\\" * 40, "é" * 40, "~" * 40, "%" * 40, "a\nb\n"]
)
def test_a_file_that_holds_no_key_is_refused_and_not_quoted(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.public"
    path.write_text(text)
    with pytest.raises(KeyFileError) as caught:
        keys.read_public(path)
    assert str(caught.value).startswith(f"{path}: holds ")
    assert len(str(caught.value).splitlines()) == 1


def test_a_pairs_files_are_not_taken_for_each_other(tmp_path: Path) -> None:
    secret, public = keys.make("plc", tmp_path)
    with pytest.raises(KeyFileError, match=r"is a public key; name the \.secret file"):
        keys.read_secret(public)
    with pytest.raises(KeyFileError, match=r"is a secret key; name the \.public file"):
        keys.read_public(secret)


def test_a_folder_gives_the_public_keys_and_says_which_file_is_unfit(tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    plc = ring.admit("plc")
    (ring.clients / "notes.txt").write_text("nothing")
    (ring.clients / "odd.public").write_text("odd")
    found, faults = keys.read_folder(ring.clients)
    assert found == {plc.public: ring.clients / "plc.public"}
    assert [str(fault).partition(":")[0] for fault in faults] == [f"{ring.clients}/odd.public"]
    assert "is no folder" in str(keys.read_folder(tmp_path / "none")[1][0])


def test_the_daemons_keys_are_what_its_configuration_names(tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    camera = keys.read_public(keys.make("camera", tmp_path)[1])
    assert keys.of_daemon(Security()) is None
    given = Security(**ring.document(), camera_key=str(tmp_path / "camera.public"))
    assert keys.of_daemon(given) == (ring.own, camera, ring.clients)
    assert isinstance(ring.own, Pair)


def test_the_command_makes_a_pair_and_shows_its_public_key_only(desk: Desk) -> None:
    made = desk.run("keys", "new", "plc")
    assert made.status == 0
    secret = keys.read_secret(desk.folder / "plc.secret")
    for file in ("plc.secret", "plc.public"):
        shown = desk.run("keys", "show", file)
        assert (shown.status, shown.out) == (0, secret.public.decode() + "\n")
        assert secret.secret.decode() not in made.out + made.err + shown.out + shown.err
    assert "plc.secret: is there already" in desk.refuse("keys", "new", "plc")


def test_the_command_writes_into_the_folder_that_it_is_told(desk: Desk) -> None:
    (desk.folder / "etc").mkdir()
    assert desk.run("keys", "new", "plc", "--dir", "etc").status == 0
    assert sorted(path.name for path in (desk.folder / "etc").iterdir()) == ["plc.public", "plc.secret"]


@pytest.mark.parametrize("name", ["../plc", "a b", ""])
def test_a_name_is_no_path(desk: Desk, name: str) -> None:
    assert "must be a name" in desk.refuse("keys", "new", name)


def test_a_token_is_printed_or_written_for_its_owner_only(desk: Desk) -> None:
    first, second = (desk.run("keys", "token").out.strip() for _ in range(2))
    assert len(first) >= 43
    assert first != second
    written = desk.run("keys", "token", "--out", "http.token")
    assert written.status == 0
    assert mode(desk.folder / "http.token") == 0o600
    assert keys.read_private(desk.folder / "http.token") not in written.out + written.err
    assert "http.token: is there already" in desk.refuse("keys", "token", "--out", "http.token")


@pytest.mark.parametrize(
    "given",
    [
        ("--secret", "daemon.secret"),
        ("--clients", "clients"),
        ("--server-key", "daemon.public"),
        ("--secret", "daemon.secret", "--clients", "clients", "--server-key", "daemon.public"),
    ],
)
def test_half_of_what_a_camera_needs_is_refused(desk: Desk, given: tuple[str, ...]) -> None:
    Ring(desk.folder)
    camera = ("simulate", "meltpool", "--endpoint", "tcp://127.0.0.1:0", "--rate", "10")
    assert "needs --secret and either --server-key" in desk.refuse(*camera, *given)
