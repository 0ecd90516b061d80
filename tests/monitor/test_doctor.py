"""What would keep the daemon from running, told with its remedy; nothing is started or changed."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import old_journal
import pytest
from alarm_example import changes_of, written
from budget import EVENTS, PER_HOUR, RATE_HZ, with_budget
from daemon_example import record, some_config
from key_examples import Ring

from monitor import doctor
from monitor.bundle import WEIGHTS, Bundle, write
from monitor.config import Config, Engine, Events, Http, Input, Outputs, Permit, Security
from monitor.doctor import Finding, examine
from monitor.journal.store import Journal
from monitor.sinks.config import Command, Sinks
from monitor.sinks.opcua.settings import Opcua
from monitor.web import token

DAY_NS = 86_400 * 10**9
CHECKS = ["program", "device", "bundle", "memory", "http.port", "outputs.alarms", "outputs.permit", "outputs.snapshot"]
SECURITY = ["security", "http.token_file"]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return some_config(tmp_path)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that somebody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def found(config: Config, check: str) -> Finding:
    [one] = [finding for finding in examine(config) if finding.check == check]
    assert (one.grade == "ok") == (one.remedy == ""), "what is wrong comes with a remedy"
    return one


def with_output(config: Config, **outputs: str | None) -> Config:
    return msgspec.structs.replace(config, outputs=msgspec.structs.replace(config.outputs, **outputs))


def test_it_looks_at_everything_once_and_leaves_nothing(config: Config, tmp_path: Path) -> None:
    findings = examine(config)
    wanted = [*CHECKS, *SECURITY, "journal", "kinds", "disk", "recordings", "clock"]
    assert [finding.check for finding in findings] == wanted
    assert not [finding for finding in findings if finding.grade == "fault"]
    assert list(tmp_path.iterdir()) == []


def test_each_sink_is_looked_at(config: Config) -> None:
    pager, lost = (Command(name=name, command=(name, "-c", "true")) for name in ("sh", "nothing-like-it"))
    asked = msgspec.structs.replace(config, sinks=Sinks(commands=(pager, lost)))
    assert found(asked, "sinks.commands 'sh'").grade == "ok"
    assert found(asked, "sinks.commands 'nothing-like-it'").grade == "fault"


def test_an_opc_ua_server_is_looked_at_where_there_is_one(config: Config, taken: int) -> None:
    asked = msgspec.structs.replace(config, opcua=Opcua(port=taken))
    seen = found(asked, "opcua.port")
    assert (seen.grade, seen.found) == ("fault", f"127.0.0.1:{taken}: Address already in use")
    assert found(asked, "opcua").found == "everybody who reaches it may read without security"


def test_no_bundle_is_a_warning(config: Config) -> None:
    assert found(config, "bundle")[1:3] == ("warning", "none is configured: frames are counted, not judged")


def test_a_good_bundle_is_verified_and_its_doubts_are_told(config: Config, small_bundle: Bundle) -> None:
    seen = found(msgspec.structs.replace(config, bundle=str(small_bundle.path)), "bundle")
    assert seen.grade == "warning"
    assert "32x32 uint8, 0.0 days old, all files verified; limits extrapolated" in seen.found


@pytest.fixture(scope="module")
def promising(small_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with an extrapolated false-alarm budget."""
    return with_budget(small_bundle, tmp_path_factory.mktemp("promising") / "bundle")


def test_a_budget_for_another_frame_rate_is_a_warning(config: Config, promising: Bundle) -> None:
    faster = Input(endpoint=config.input.endpoint, rate_hz=2 * RATE_HZ)
    seen = found(msgspec.structs.replace(config, bundle=str(promising.path), events=EVENTS, input=faster), "bundle")
    assert "its false-alarm budget counts 100 frames as a second, the camera sends 200" in seen.found


def test_an_extrapolated_budget_is_told_with_the_hours_that_would_support_it(config: Config, promising: Bundle) -> None:
    right = Input(endpoint=config.input.endpoint, rate_hz=RATE_HZ)
    asked = msgspec.structs.replace(config.calibration, false_alarms_per_hour=PER_HOUR)
    agreed = msgspec.structs.replace(config, bundle=str(promising.path), events=EVENTS, input=right, calibration=asked)
    seen = found(agreed, "bundle")
    assert "limits extrapolated" in seen.found
    assert "let the daemon judge 1 minute, then 'framewatch recalibrate'" in seen.remedy


def test_an_interlock_without_a_budget_of_stops_is_a_warning(config: Config, promising: Bundle) -> None:
    asked = msgspec.structs.replace(config.calibration, false_alarms_per_hour=PER_HOUR)
    given = msgspec.structs.replace(
        config,
        bundle=str(promising.path),
        events=EVENTS,
        input=Input(endpoint=config.input.endpoint, rate_hz=RATE_HZ),
        calibration=asked,
        permit=Permit(mode="interlock"),
    )
    seen = found(given, "bundle")
    assert (seen.grade, "stops for every false alarm, 60 an hour" in seen.found) == ("warning", True)
    assert "calibration.false_stops_per_hour" in seen.remedy


def test_a_budget_that_the_limits_do_not_keep_is_a_warning(config: Config, promising: Bundle) -> None:
    right = Input(endpoint=config.input.endpoint, rate_hz=RATE_HZ)
    seen = found(msgspec.structs.replace(config, bundle=str(promising.path), events=EVENTS, input=right), "bundle")
    assert seen.grade == "warning"
    assert "calibration.false_alarms_per_hour is 1, the bundle's limits keep to 60" in seen.found


def test_a_budget_for_another_event_rule_is_a_fault(config: Config, promising: Bundle) -> None:
    seen = found(msgspec.structs.replace(config, bundle=str(promising.path), events=Events(k=3, n=5)), "bundle")
    assert seen.grade == "fault"
    assert "set for 2 of 3 frames, not 3 of 5" in seen.found


def test_limits_of_another_device_are_a_warning(config: Config, small_bundle: Bundle, tmp_path: Path) -> None:
    other = msgspec.structs.replace(small_bundle.manifest, engine="torch 2.13.0 cuda NVIDIA H100")
    write(tmp_path / "other", other, small_bundle.tensors, None)
    seen = found(msgspec.structs.replace(config, bundle=str(tmp_path / "other")), "bundle")
    assert seen.grade == "warning"
    assert "limits were set on scores of cuda NVIDIA H100, engine.device scores on cpu" in seen.found


def test_an_expired_bundle_is_a_warning(config: Config, small_bundle: Bundle, tmp_path: Path) -> None:
    old = msgspec.structs.replace(small_bundle.manifest, created_ns=time.time_ns() - 10 * DAY_NS)
    write(tmp_path / "old", old, small_bundle.tensors, None)
    for days, expired in ((9.0, True), (11.0, False)):
        asked = msgspec.structs.replace(config, bundle=str(tmp_path / "old"), calibration_expires_days=days)
        assert ("10.0 days old, all files verified; expired" in found(asked, "bundle").found) == expired


@pytest.mark.parametrize("harm", ["missing", "damaged", "misfit"])
def test_a_bundle_that_would_be_refused_is_a_fault(
    config: Config, small_bundle: Bundle, tmp_path: Path, harm: str
) -> None:
    path = tmp_path / "bundle"
    if harm != "missing":
        tensors = small_bundle.tensors if harm == "damaged" else {"other": small_bundle.tensors["input.shift"]}
        write(path, small_bundle.manifest, tensors, None)
    if harm == "damaged":
        (path / WEIGHTS).write_bytes((path / WEIGHTS).read_bytes()[:-1])
    seen = found(msgspec.structs.replace(config, bundle=str(path)), "bundle")
    assert seen.grade == "fault"
    assert str(path) in seen.found


def test_a_device_that_is_not_there_is_a_fault(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.torch.cuda, "is_available", lambda: False)
    seen = found(msgspec.structs.replace(config, engine=Engine(device="cuda:1")), "device")
    assert seen[1:3] == ("fault", "cuda:1 was asked for but torch sees no CUDA device")


def test_a_ring_larger_than_memory_is_a_fault(config: Config) -> None:
    seen = found(msgspec.structs.replace(config, input=Input(rate_hz=1e7, buffer_s=3600)), "memory")
    assert seen.grade == "fault"
    assert "3600 s at 1e+07 Hz" in seen.found


def test_each_taken_port_is_named_with_its_key(config: Config, taken: int) -> None:
    endpoint = f"tcp://127.0.0.1:{taken}"
    for key, asked in {
        "http.port": msgspec.structs.replace(config, http=Http(port=taken)),
        "outputs.alarms": with_output(config, alarms=endpoint),
        "outputs.permit": with_output(config, permit=endpoint),
        "outputs.snapshot": with_output(config, snapshot=endpoint),
        "input.endpoint": msgspec.structs.replace(config, input=Input(endpoint=endpoint, bind=True)),
    }.items():
        faults = [finding for finding in examine(asked) if finding.grade == "fault"]
        assert [finding.check for finding in faults] == [key]
        assert faults[0].found == f"127.0.0.1:{taken}: Address already in use"


def test_the_cameras_own_address_is_not_ours_to_take(config: Config, taken: int) -> None:
    asked = msgspec.structs.replace(config, input=Input(endpoint=f"tcp://127.0.0.1:{taken}", bind=False))
    assert "input.endpoint" not in [finding.check for finding in examine(asked)]


def test_addresses_without_a_port_are_not_looked_for(config: Config, tmp_path: Path) -> None:
    local = (f"ipc://{tmp_path}/{name}" for name in ("alarms", "permit", "snapshot"))
    asked = msgspec.structs.replace(config, outputs=Outputs(*local))
    assert not [finding for finding in examine(asked) if finding.check.startswith("outputs")]


def test_a_socket_that_there_is_not_needs_no_port(config: Config) -> None:
    assert "outputs.snapshot" not in [finding.check for finding in examine(with_output(config, snapshot=None))]


@pytest.mark.parametrize("host", ["127.0.0.1", "*", "[::1]"])
def test_every_kind_of_host_is_understood(config: Config, host: str) -> None:
    port = config.outputs.alarms.rpartition(":")[2]
    seen = found(with_output(config, alarms=f"tcp://{host}:{port}"), "outputs.alarms")
    if host == "[::1]" and "Cannot assign" in seen.found:
        pytest.skip("this machine has no IPv6")
    assert (seen.grade, seen.found.endswith("is free")) == ("ok", True)


def test_a_host_that_is_not_ours_is_a_fault(config: Config) -> None:
    seen = found(msgspec.structs.replace(config, http=Http(host="203.0.113.1")), "http.port")
    assert seen.grade == "fault"


def test_a_journal_in_use_is_read_and_counted(config: Config) -> None:
    Journal(Path(config.journal), config.camera).close()
    assert found(config, "journal").found == f"{config.journal}: 0 alarms are open"


def test_a_journal_is_looked_at_without_a_byte_of_it_changed(config: Config) -> None:
    path = Path(config.journal)
    journal = Journal(path, config.camera)
    journal.commit(written(changes_of(record("began")), 1))
    journal._db.execute("DROP INDEX alarms_unseen")  # as an older program leaves it: who opens it to write adds it

    def bytes_of() -> dict[Path, bytes]:
        """Without the marks of readers in the writer's memory, which a writer in this process lets others set."""
        return {one: b"" if one.suffix == ".db-shm" else one.read_bytes() for one in path.parent.iterdir()}

    for running in (True, False):
        before, changed_ns = bytes_of(), path.stat().st_mtime_ns
        assert found(config, "journal").found == f"{path}: 1 alarms are open"
        assert (bytes_of(), path.stat().st_mtime_ns) == (before, changed_ns)
        if running:
            journal.close()


def test_a_journal_of_an_older_format_is_left_as_it_is(config: Config) -> None:
    path = Path(config.journal)
    old_journal.make(path)
    before = path.read_bytes()
    assert found(config, "journal").grade == "ok"
    assert (path.read_bytes(), list(path.parent.iterdir())) == (before, [path])


@pytest.mark.parametrize("locked", ["", "-wal"])
def test_a_journal_that_cannot_be_written_is_a_fault(
    config: Config, monkeypatch: pytest.MonkeyPatch, locked: str
) -> None:
    journal = Journal(Path(config.journal), config.camera)
    closed = Path(config.journal + locked)
    monkeypatch.setattr(doctor.os, "access", lambda path, _: path != closed)  # to root every file is open
    assert found(config, "journal")[1:3] == ("fault", f"{closed} cannot be written")
    journal.close()


def test_a_journal_that_was_made_empty_is_no_fault(config: Config) -> None:
    Path(config.journal).touch()
    assert found(config, "journal").grade == "ok"


def test_a_journal_with_a_damaged_page_is_a_fault(config: Config) -> None:
    path = Path(config.journal)
    Journal(path, config.camera).close()
    whole = bytearray(path.read_bytes())
    whole[-4096:] = b"\xff" * 4096
    path.write_bytes(whole)
    assert found(config, "journal").grade == "fault"


def test_a_damaged_journal_is_a_fault(config: Config) -> None:
    Path(config.journal).write_bytes(b"no database" * 100)
    assert found(config, "journal").grade == "fault"


def test_a_journal_without_a_folder_is_a_fault(config: Config, tmp_path: Path) -> None:
    asked = msgspec.structs.replace(config, journal=str(tmp_path / "none" / "journal.db"))
    assert found(asked, "journal").grade == "fault"
    assert found(asked, "disk").grade == "fault"


def test_a_full_disk_is_a_warning(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DISK_FREE_MIN", 1 << 62)
    assert found(config, "disk").grade == "warning"


def test_a_clock_that_was_never_set_is_a_fault(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.time, "time", lambda: 86_400.0)
    assert found(config, "clock").grade == "fault"


def about_security(config: Config) -> list[tuple[str, str]]:
    found = [finding for finding in examine(config) if finding.check in SECURITY]
    assert all((one.grade == "ok") == (one.remedy == "") for one in found)
    return [(one.grade, one.found) for one in found]


def test_keys_and_token_that_are_fit_are_told(config: Config, tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    ring.admit("plc")
    token.write(tmp_path / "token")
    http = msgspec.structs.replace(config.http, token_file=str(tmp_path / "token"))
    asked = msgspec.structs.replace(config, http=http, security=Security(**ring.document()))
    assert about_security(asked) == [
        ("ok", f"1 key(s) in {ring.clients} may connect"),
        ("ok", f"{tmp_path}/token: only its owner may read it"),
    ]


def test_a_folder_of_keys_that_is_empty_is_a_warning(config: Config, tmp_path: Path) -> None:
    ring = Ring(tmp_path)
    (grade, said), _ = about_security(msgspec.structs.replace(config, security=Security(**ring.document())))
    assert (grade, said) == ("warning", f"0 key(s) in {ring.clients} may connect: nobody can")


@pytest.mark.parametrize(
    ("harm", "says"),
    [
        ("missing", "daemon.secret: No such file or directory"),
        ("open", "daemon.secret: others than its owner may read it; chmod 600"),
        ("folder", "clients: is no folder"),
        ("damaged", "odd.public: holds no key of 40 letters"),
    ],
)
def test_a_key_file_that_is_missing_or_unfit_is_a_fault(config: Config, tmp_path: Path, harm: str, says: str) -> None:
    ring = Ring(tmp_path)
    if harm == "missing":
        ring.secret.unlink()
    elif harm == "open":
        ring.secret.chmod(0o640)
    elif harm == "folder":
        ring.clients.rmdir()
    else:
        (ring.clients / "odd.public").write_text("odd")
    (grade, said), _ = about_security(msgspec.structs.replace(config, security=Security(**ring.document())))
    assert grade == "fault"
    assert says in said


def test_doors_without_locks_are_faults_and_warnings_where_they_are_meant(config: Config) -> None:
    wide = msgspec.structs.replace(
        config, http=Http(host="0.0.0.0", port=config.http.port), input=Input("tcp://camera.lan:5555")
    )
    meant = msgspec.structs.replace(wide, security=Security(insecure=True))
    for asked, grade in ((wide, "fault"), (meant, "warning")):
        _, page, camera, _ = about_security(asked)
        assert page[0] == grade
        assert page[1].startswith("http.host: 0.0.0.0 can be reached from other machines")
        assert camera[0] == "warning"


def test_a_token_that_others_may_read_is_a_fault(config: Config, tmp_path: Path) -> None:
    token.write(tmp_path / "token")
    (tmp_path / "token").chmod(0o644)
    http = msgspec.structs.replace(config.http, token_file=str(tmp_path / "token"))
    _, (grade, said) = about_security(msgspec.structs.replace(config, http=http))
    assert (grade, "chmod 600" in said) == ("fault", True)
