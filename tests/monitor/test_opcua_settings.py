"""The OPC UA server's configuration, users and certificate: no server is started."""

from pathlib import Path

import msgspec
import pytest

from monitor.sinks.opcua import users
from monitor.sinks.opcua.settings import Opcua, OpcuaError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_is_open(host: str) -> None:
    assert Opcua(host=host).open


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"host": "0.0.0.0"}, "certificate, key and users"),
        ({"host": "camera-7"}, "certificate, key and users"),
        ({"host": "10.0.0.1", "certificate": "c", "key": "k"}, "users"),
        ({"host": "10.0.0.1", "users": "u"}, "certificate"),
        ({"certificate": "c"}, "belong together"),
        ({"port": 70000}, "port"),
        ({"max_shelve_s": 0}, "max_shelve_s"),
        ({"max_shelve_s": 7 * 86400 + 1}, r"<= 604800.0 - at `\$.max_shelve_s`"),
        ({"hosts": "x"}, "hosts"),
    ],
)
def test_what_would_let_strangers_in_is_refused(given: dict[str, object], problem: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=problem):
        msgspec.convert(given, Opcua)


def test_other_addresses_are_open_only_where_it_is_said() -> None:
    assert not Opcua(host="0.0.0.0", certificate="c", key="k", users="u").open
    assert Opcua(host="0.0.0.0", insecure=True).open


def test_paths_are_taken_from_a_folder() -> None:
    assert Opcua(users="u", certificate="/c", key="k").beside(Path("/etc")) == Opcua(
        users="/etc/u", certificate="/c", key="/etc/k"
    )


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_password_opens_for_its_own_name_only() -> None:
    doorman = users.Doorman({"anna": users.conceal("a"), "ben": users.conceal("b")})
    assert doorman.knows("anna", "a")
    assert not doorman.knows("ben", "a")
    assert not doorman.knows("carl", "a")


def test_after_a_wrong_password_the_name_waits() -> None:
    clock = Clock()
    doorman = users.Doorman({"anna": users.conceal("a"), "ben": users.conceal("b")}, clock)
    assert not doorman.knows("anna", "wrong")
    assert not doorman.knows("anna", "a")
    assert doorman.knows("ben", "b")
    clock.now += users.PAUSE_S
    assert doorman.knows("anna", "a")


def test_a_file_of_users_is_written_by_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "users"
    for name, password in (("anna", "a"), ("ben", "b"), ("anna", "new")):
        monkeypatch.setattr("getpass.getpass", lambda _, answer=password: answer)
        assert users.main([str(file), name]) == 0
    doorman = users.Doorman(users.read(file))
    assert doorman.knows("anna", "new")
    assert doorman.knows("ben", "b")
    assert len(file.read_text().splitlines()) == 2
    assert file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("arguments", [[], ["only"], ["{file}", "a b"], ["{file}", "a:b"]])
def test_a_wrong_use_of_the_command_is_told(
    tmp_path: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("getpass.getpass", lambda _: "a")
    assert users.main([argument.format(file=tmp_path / "users") for argument in arguments]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize("text", ["anna", "anna:zz:00", "anna:00"])
def test_a_damaged_file_of_users_is_refused_by_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "users"
    file.write_text(f"# people\n\n{text}\n")
    with pytest.raises(OpcuaError, match=r"^opcua\.users: line 3 of "):
        users.read(file)


def test_a_missing_file_of_users_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OpcuaError, match=r"^opcua\.users: .*cannot be read"):
        users.read(tmp_path / "none")


def test_a_pair_is_made_once_and_read_again(tmp_path: Path) -> None:
    certificate = _certificate()
    files = tmp_path / "c.pem", tmp_path / "k.pem"
    made = certificate.load(*files, "urn:here", "10.0.0.7")
    assert certificate.load(*files, "urn:elsewhere", "x")[0] == made[0]
    assert "urn:here" in str(made[0].extensions)
    assert "10.0.0.7" in str(made[0].extensions)


def test_files_that_are_no_pair_are_refused(tmp_path: Path) -> None:
    certificate = _certificate()
    one, other = (tmp_path / "c1.pem", tmp_path / "k1.pem"), (tmp_path / "c2.der", tmp_path / "k2.pem")
    certificate.load(*one, "urn:1", "localhost")
    certificate.load(*other, "urn:2", "localhost")
    empty = tmp_path / "empty"
    empty.write_text("")
    for files, problem in (
        ((one[0], other[1]), "is not the RSA key of"),
        ((empty, one[1]), "holds no certificate"),
        ((one[0], empty), "holds no private key"),
        ((one[0], tmp_path / "none"), "No such file"),
    ):
        with pytest.raises(OpcuaError, match=problem):
            certificate.load(*files, "urn:1", "localhost")


def _certificate():  # type: ignore[no-untyped-def]  # a module
    pytest.importorskip("cryptography", reason="the extra opcua is not installed")
    from monitor.sinks.opcua import certificate

    return certificate
