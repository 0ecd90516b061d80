"""What the doctor says of sinks: real receivers and brokers are called up, and hear of no alarm."""

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from daemon_example import free_port
from mqtt_example import Mosquitto, broker, listening
from sink_examples import certificates, run, until

from monitor.finding import Finding
from monitor.sinks import check
from monitor.sinks.config import Command, Mqtt, Sinks, Tls, Webhook

SECRET = "open sesame"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    file = tmp_path / "secret"
    file.write_text(SECRET)
    file.chmod(0o600)
    return file


def found(sinks: Sinks) -> list[Finding]:
    findings = list(check.examine(sinks, "melt"))
    assert all((one.grade == "ok") == (one.remedy == "") for one in findings), "what is wrong comes with a remedy"
    assert all(len(line.splitlines()) <= 1 and SECRET not in line for one in findings for line in one)
    return findings


def only(sinks: Sinks) -> tuple[str, str]:
    [one] = found(sinks)
    return one.grade, one.found


class Receiver:
    """Takes connections, one after the other, and hears what is said on them."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self._listener, self._tls = listener, tls
        self.port = listener.getsockname()[1]
        self.heard = b""

    def serve(self) -> None:
        """Until the listener is shut down."""
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                with connection, contextlib.suppress(OSError):
                    self._hear(connection)

    def _hear(self, connection: socket.socket) -> None:
        if self._tls is not None:
            connection = self._tls.wrap_socket(connection, server_side=True)
        with connection:
            while heard := connection.recv(4096):
                self.heard += heard


@contextlib.contextmanager
def receiving(tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver = Receiver(listener, tls)
        thread = threading.Thread(target=receiver.serve)
        thread.start()
        try:
            yield receiver
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


class TestWebhooks:
    def test_a_receiver_is_reached_and_is_sent_nothing(self, secret: Path) -> None:
        with receiving() as receiver:
            url = f"http://127.0.0.1:{receiver.port}/hook/{SECRET.replace(' ', '-')}"
            hook = Webhook(name="office", url=url, secret_file=str(secret))
            [one] = found(Sinks(webhooks=(hook,)))
            assert one == Finding("sinks.webhooks 'office'", "ok", f"127.0.0.1:{receiver.port} can be reached")
            assert "hook" not in one.found, "the path of an address may be its secret"
        assert receiver.heard == b""

    def test_one_that_is_not_there_is_a_warning_since_alarms_wait_for_it(self) -> None:
        port = free_port()
        grade, said = only(Sinks(webhooks=(Webhook(name="office", url=f"http://127.0.0.1:{port}/"),)))
        assert (grade, said) == ("warning", f"127.0.0.1:{port} cannot be reached (Connection refused)")

    def test_a_name_that_nobody_knows_is_told(self) -> None:
        grade, said = only(Sinks(webhooks=(Webhook(name="office", url="https://nobody.invalid/alarms"),)))
        told = ("nobody knows the name nobody.invalid", "no answer within 6 s")  # as soon as the name server says so
        assert grade == "warning"
        assert said in told

    def test_over_https_the_receiver_must_prove_who_it_is(self, tmp_path: Path) -> None:
        made = certificates(tmp_path)
        server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        server.load_cert_chain(made.cert, made.key)
        with receiving(server) as receiver:
            url, where = f"https://127.0.0.1:{receiver.port}/", f"127.0.0.1:{receiver.port}"
            trusted = Webhook(name="office", url=url, ca_file=str(made.cert))
            assert only(Sinks(webhooks=(trusted,))) == ("ok", f"{where} can be reached and proves who it is")
            [stranger] = found(Sinks(webhooks=(Webhook(name="office", url=url),)))
            assert stranger.grade == "warning"
            assert stranger.found.startswith(f"{where} does not prove who it is (self")
            assert "ca_file" in stranger.remedy
        assert receiver.heard == b""

    def test_a_port_without_tls_is_told(self) -> None:
        with receiving() as receiver:
            grade, said = only(Sinks(webhooks=(Webhook(name="office", url=f"https://127.0.0.1:{receiver.port}/"),)))
        assert grade == "warning"
        assert said.startswith(f"127.0.0.1:{receiver.port} speaks no TLS")

    def test_a_secret_file_that_others_may_open_is_a_warning_of_its_own(self, secret: Path) -> None:
        secret.chmod(0o640)
        with receiving() as receiver:
            hook = Webhook(name="office", url=f"http://127.0.0.1:{receiver.port}/", secret_file=str(secret))
            _, one = found(Sinks(webhooks=(hook,)))
        assert one[1:] == ("warning", f"{secret}: others than its owner may open it", f"chmod 600 {secret}")

    def test_a_secret_file_that_is_missing_is_a_fault(self, tmp_path: Path) -> None:
        hook = Webhook(name="office", url="http://127.0.0.1:9/", secret_file=str(tmp_path / "none"))
        grade, said = only(Sinks(webhooks=(hook,)))
        assert (grade, said) == ("fault", f"secret_file: {tmp_path}/none cannot be read: No such file or directory")


def hall(port: int, **more: Any) -> Sinks:
    return Sinks(mqtt=(Mqtt(name="hall", host="127.0.0.1", port=port, **more),))


def with_mosquitto(folder: Path, look: Callable[[Mosquitto], None], *lines: str) -> None:
    """*look* at a broker that is up, and be sure that nothing was published there meanwhile."""

    async def work() -> None:
        with broker(folder, *lines) as mosquitto:
            await mosquitto.until_up()
            options = {"username": "ear", "password": SECRET} if lines else {}
            async with listening(mosquitto.port, **options) as listener:
                await asyncio.to_thread(look, mosquitto)
            assert listener.heard == []

    run(work)


class TestBrokers:
    def test_one_that_lets_us_in_is_told(self, tmp_path: Path) -> None:
        def look(mosquitto: Mosquitto) -> None:
            said = f"127.0.0.1:{mosquitto.port} lets us in as nobody in particular"
            assert only(hall(mosquitto.port)) == ("ok", said)

        with_mosquitto(tmp_path, look)

    def test_a_login_is_tried_and_its_password_never_shown(self, tmp_path: Path, secret: Path) -> None:
        make, users = shutil.which("mosquitto_passwd"), tmp_path / "users"
        assert make
        for name, new in (("monitor", ["-c"]), ("ear", [])):
            subprocess.run([make, *new, "-b", str(users), name, SECRET], check=True, capture_output=True)
        wrong = tmp_path / "wrong"
        wrong.write_text("guess at it")
        wrong.chmod(0o600)

        def look(mosquitto: Mosquitto) -> None:
            where = f"127.0.0.1:{mosquitto.port}"
            right = hall(mosquitto.port, user="monitor", password_file=str(secret))
            assert only(right) == ("ok", f"{where} lets us in as monitor")
            grade, said = only(hall(mosquitto.port, user="monitor", password_file=str(wrong)))
            assert grade == "warning"
            assert said.startswith(f"{where} does not let the user 'monitor' in: ")
            assert "guess" not in said
            assert only(hall(mosquitto.port))[1].startswith(f"{where} does not let anonymous clients in: ")

        with_mosquitto(tmp_path, look, "allow_anonymous false", f"password_file {users}")

    def test_the_connection_of_a_daemon_that_runs_is_not_cut_off(self, tmp_path: Path) -> None:
        async def work() -> None:
            with broker(tmp_path) as mosquitto:
                await mosquitto.until_up()
                async with listening(mosquitto.port, identifier="melt-monitor") as listener:
                    sinks = hall(mosquitto.port, client_id="melt-monitor")
                    assert (await asyncio.to_thread(only, sinks))[0] == "ok"
                    async with aiomqtt.Client("127.0.0.1", mosquitto.port) as other:
                        await other.publish("mark", b"1", qos=1)
                    await until(lambda: bool(listener.of("mark")))

        run(work)

    def test_over_tls_the_broker_must_prove_who_it_is(self, tmp_path: Path) -> None:
        made = certificates(tmp_path)

        def look(mosquitto: Mosquitto) -> None:
            where = f"127.0.0.1:{mosquitto.port}"
            assert only(hall(mosquitto.port, tls=Tls(ca_file=str(made.cert))))[0] == "ok"
            [stranger] = found(hall(mosquitto.port, tls=Tls()))
            assert stranger.found.startswith(f"{where} does not prove who it is (self")
            assert "tls.ca_file" in stranger.remedy

        async def work() -> None:
            with broker(tmp_path, f"certfile {made.cert}", f"keyfile {made.key}") as mosquitto:
                await mosquitto.until_up()
                await asyncio.to_thread(look, mosquitto)

        run(work)

    def test_what_is_no_broker_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(check, "CONNECT_S", 0.2)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            grade, said = only(hall(port))
        assert grade == "warning"
        assert said.startswith(f"127.0.0.1:{port} does not answer as an MQTT 5 broker does")

    def test_one_that_is_not_there_and_a_password_that_cannot_be_read_are_told(self, tmp_path: Path) -> None:
        port = free_port()
        assert only(hall(port)) == ("warning", f"127.0.0.1:{port} cannot be reached (Connection refused)")
        grade, said = only(hall(port, user="monitor", password_file=str(tmp_path / "none")))
        assert (grade, said.split(" cannot")[0]) == ("fault", f"password_file: {tmp_path}/none")

    def test_a_password_that_others_may_read_is_a_warning_of_its_own(self, secret: Path) -> None:
        secret.chmod(0o644)
        _, one = found(hall(free_port(), user="monitor", password_file=str(secret)))
        assert (one.grade, one.remedy) == ("warning", f"chmod 600 {secret}")


def test_a_program_is_looked_for_and_not_started(tmp_path: Path) -> None:
    told = Sinks(commands=(Command(name="pager", command=("touch", str(tmp_path / "started"))),))
    assert only(told) == ("ok", f"{shutil.which('touch')} can be started")
    assert not (tmp_path / "started").exists()
    grade, said = only(Sinks(commands=(Command(name="pager", command=("nothing-like-it", SECRET)),)))
    assert (grade, said) == ("fault", "command: nothing-like-it is no program that can be started")


def test_what_takes_too_long_is_given_up() -> None:
    never = threading.Event()
    with pytest.raises(TimeoutError):
        check.within(0.01, never.wait)
    never.set()


def test_a_sink_that_takes_too_long_is_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    never = threading.Event()
    monkeypatch.setattr(check, "LIMIT_S", 0.01)
    monkeypatch.setattr(check.socket, "create_connection", lambda *_: never.wait())
    grade, said = only(Sinks(webhooks=(Webhook(name="office", url="http://127.0.0.1:9/"),)))
    assert (grade, said) == ("warning", "no answer within 0.01 s")
