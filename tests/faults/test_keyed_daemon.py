"""The daemon with keys: who speaks to it and who listens, on real sockets of real processes."""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import zmq
from daemon import PATIENCE_S, Camera, Daemon, Lock
from frames import normal
from key_examples import Ring, peer

from monitor import keys, vitals
from monitor.camera.publisher import Publisher, Shot
from monitor.keys import Credentials, Pair
from monitor.web import token


@pytest.fixture
def ring(tmp_path: Path) -> Ring:
    (tmp_path / "keys").mkdir()
    return Ring(tmp_path / "keys")


def lock(own: Pair, ring: Ring) -> Lock:
    return functools.partial(keys.use_as_client, own=own, server=ring.own.public)


@pytest.fixture
def keyed(ring: Ring, tmp_path: Path) -> Iterator[Daemon]:
    """A daemon that asks for keys, and whose subscriber has one."""
    with Daemon(tmp_path, None, lock(ring.admit("plc"), ring), security=ring.document()) as daemon:
        yield daemon


def refused(daemon: Daemon) -> dict[str, float]:
    found = daemon.metrics()
    return {door: found["framewatch_peers_refused_total", door] for door in vitals.DOORS}


def shown(asking: "zmq.Socket[bytes]") -> dict[str, Any]:
    """The snapshot that the daemon gives to *asking*, a DEALER socket."""
    asking.send(b"{}")
    assert asking.poll(int(PATIENCE_S * 1000)), "no answer"
    found: dict[str, Any] = json.loads(asking.recv())
    return found


Peers = Callable[[int, Pair | None, bytes], "zmq.Socket[bytes]"]


@pytest.fixture
def peers() -> Iterator[Peers]:
    """Makes sockets that are closed in the end."""
    context: zmq.Context[Any] = zmq.Context()
    made: list[zmq.Socket[bytes]] = []

    def make(kind: int, own: Pair | None, server: bytes) -> "zmq.Socket[bytes]":
        made.append(peer(context, kind, own, server))
        return made[-1]

    yield make
    context.destroy(linger=0)


def joined(daemon: Daemon, camera: Camera, heard: Callable[[], object]) -> None:
    """Until the daemon hears the camera, and *heard*: a subscriber hears permits."""

    def both() -> bool:
        camera.send(normal(16, 1))
        return bool(heard()) and daemon.status().ledger.received > 0

    daemon.wait_until(daemon.answers, "page")
    daemon.wait_until(both, "frames and permits")


def test_who_has_no_key_says_and_hears_nothing_and_the_camera_beside_it_loses_no_frame(
    ring: Ring, keyed: Daemon, peers: Peers
) -> None:
    with Camera(keyed.endpoint, lock=lock(ring.admit("camera"), ring)) as camera:
        nameless = [peers(zmq.SUB, None, b"") for _ in keyed._outputs]
        for socket, endpoint in zip(nameless, keyed._outputs, strict=True):
            socket.connect(endpoint)
        nameless.append(peers(zmq.DEALER, None, b""))
        nameless[-1].connect(keyed.snapshot)
        nameless[-1].send(b"{}")
        intruder = peers(zmq.PUSH, None, b"")
        intruder.connect(keyed.endpoint)
        intruder.send_multipart([b"cam", b"forged", b""])
        joined(keyed, camera, lambda: keyed.permits)
        keyed.wait_until(lambda: all(refused(keyed).values()), "refusal on every socket")
        camera.send(normal(16, 1))
        ledger = keyed.wait_until_judged(camera.seq).ledger
    assert (ledger.received, ledger.lost_upstream, ledger.announced) == (camera.seq, 0, camera.seq)
    assert sum(ledger.rejected.values()) == 0
    assert not any(socket.poll(0) for socket in nameless)
    assert keyed.stop() == 0


def test_who_loses_its_key_is_cut_off_and_counted_and_the_others_miss_nothing(
    ring: Ring, keyed: Daemon, peers: Peers
) -> None:
    leaked = ring.admit("leaked")
    with Camera(keyed.endpoint, lock=lock(ring.admit("camera"), ring)) as camera:
        thieves = [peers(zmq.SUB, leaked, ring.own.public) for _ in keyed._outputs]
        for socket, endpoint in zip(thieves, keyed._outputs, strict=True):
            socket.connect(endpoint)
        asking, honest = (peers(zmq.DEALER, own, ring.own.public) for own in (leaked, ring.admit("display")))
        for socket in (asking, honest):
            socket.connect(keyed.snapshot)
        thief = peers(zmq.PUSH, leaked, ring.own.public)
        thief.connect(keyed.endpoint)
        thief.send_multipart([b"cam", b"forged", b""])
        joined(keyed, camera, lambda: thieves[-1].poll(0))
        keyed.wait_until(lambda: sum(keyed.status().ledger.rejected.values()) == 1, "word of the thief")
        for socket in (asking, honest):
            assert "alarms" in shown(socket)
        assert not any(refused(keyed).values())
        ring.revoke("leaked")

        def gone() -> bool:
            camera.send(normal(16, 1))
            for socket in thieves:  # a subscriber that does not read does not come back to ask for anything
                while socket.poll(0):
                    socket.recv_multipart()
            return all(refused(keyed).values())

        keyed.wait_until(gone, "refusal of the revoked key on every socket")
        said = len(keyed.permits)
        keyed.wait_until(lambda: len(keyed.permits) > said + 5, "permits")
        asking.send(b"{}", zmq.NOBLOCK)
        assert "alarms" in shown(honest)
        assert not any(socket.poll(0) for socket in (*thieves, asking))
        camera.send(normal(16, 1))
        ledger = keyed.wait_until_judged(camera.seq).ledger
    assert (ledger.received, ledger.lost_upstream, ledger.announced) == (camera.seq, 0, camera.seq)
    assert sum(ledger.rejected.values()) == 1, "what the thief said while its key was good"
    assert [one.n for one in keyed.permits] == list(range(keyed.permits[0].n, keyed.permits[-1].n + 1))
    assert keyed.stop() == 0
    told = keyed.log.read_text()
    assert "a key was taken away" in told
    secrets = [path.read_text().splitlines()[-1] for path in ring.folder.rglob("*.secret")]
    assert len(secrets) == 5
    assert not any(secret in told for secret in secrets)


def test_what_a_camera_loses_while_its_key_is_away_is_counted(ring: Ring, keyed: Daemon) -> None:
    own = ring.admit("camera")
    file = ring.clients / "camera.public"
    text, frames = file.read_text(), normal(16, 1)
    with Camera(keyed.endpoint, lock=lock(own, ring)) as camera:
        keyed.wait_until(keyed.answers, "page")

        def heard() -> bool:
            camera.send(frames)
            return keyed.status().ledger.received > 0

        keyed.wait_until(heard, "frames")
        file.unlink()

        def cut() -> bool:
            camera.send(frames)
            return refused(keyed)["input"] > 0

        keyed.wait_until(cut, "refusal")
        file.write_text(text)
        kept = keyed.status().ledger.received

        def back() -> bool:
            camera.send(frames)
            return keyed.status().ledger.received > kept

        keyed.wait_until(back, "return")
        ledger = keyed.wait_until_judged(camera.seq).ledger
    assert ledger.announced == camera.seq
    assert ledger.received + ledger.lost_upstream == camera.seq


@pytest.mark.parametrize("known", [True, False])
def test_a_daemon_hears_the_camera_whose_key_it_knows_and_no_other(ring: Ring, tmp_path: Path, known: bool) -> None:
    secret, public = keys.make("camera", tmp_path)
    (tmp_path / "readers").mkdir()
    os.replace(ring.public, tmp_path / "readers" / "daemon.public")
    _, other = keys.make("other", tmp_path)
    security = {"secret": str(ring.secret), "camera_key": str(public if known else other)}
    credentials = Credentials(keys.read_secret(secret), clients=tmp_path / "readers")
    with Publisher("tcp://127.0.0.1:0", 1000.0, camera="cam", credentials=credentials) as publisher:
        given = {"endpoint": publisher.endpoint, "socket": "sub", "bind": False}
        with Daemon(tmp_path, None, input=given, security=security) as daemon:
            daemon.wait_for_state("uncalibrated", "blind")
            met = publisher.wait_for_reader(PATIENCE_S if known else 0.5)
            assert met is known
            publisher.publish([Shot(normal(50, 1))], wait_s=0.0)
            if known:
                assert daemon.wait_until_judged(50).ledger.received == 50
            else:
                assert daemon.status().ledger.received == 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": {"alarms": "tcp://*:5571"}}, "outputs.alarms: tcp://*:5571 can be reached from other machines"),
        (
            {"outputs": {"snapshot": "tcp://*:5573"}},
            "outputs.snapshot: tcp://*:5573 can be reached from other machines",
        ),
        ({"http": {"host": "0.0.0.0"}}, "http.host: 0.0.0.0 can be reached from other machines and there is no token"),
        ({"security": {"secret": "none.secret", "clients": "."}}, "none.secret: No such file or directory"),
        ({"http": {"token_file": "none.token"}}, "none.token: No such file or directory"),
    ],
)
def test_a_door_without_a_lock_is_refused_at_the_start_in_one_line(
    tmp_path: Path, change: dict[str, Any], says: str
) -> None:
    daemon = Daemon(tmp_path, None, **change)
    daemon.__exit__()
    command = [sys.executable, "-m", "monitor.cli", "run", "--config", str(daemon.config)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE_S, text=True)
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert says in line


def test_an_open_door_that_is_meant_is_opened(tmp_path: Path) -> None:
    with Daemon(tmp_path, None, security={"insecure": True}) as daemon:
        daemon.wait_for_state("uncalibrated", "blind")
        assert daemon.stop() == 0


def test_over_http_only_who_has_the_token_changes_anything(tmp_path: Path) -> None:
    token.write(tmp_path / "http.token")
    text = token.text_of(tmp_path / "http.token")
    with Daemon(tmp_path, None) as without:
        without.wait_until(without.answers, "page")
        assert asked(without, f"Bearer {text}") == 403
        assert without.stop() == 0
    page = without.document["http"]
    with Daemon(tmp_path, None, http={**page, "token_file": "http.token"}) as daemon:
        daemon.url = without.url
        daemon.wait_until(daemon.answers, "page")
        assert [asked(daemon, header) for header in (None, "Bearer no", f"Bearer {text}")] == [401, 401, 404]
        assert daemon.stop() == 0
        assert text not in daemon.log.read_text()


def asked(daemon: Daemon, authorization: str | None) -> int:
    """The status of a request to acknowledge an alarm that is not there."""
    headers = {"Authorization": authorization} if authorization else {}
    url = f"{daemon.url}/api/v1/alarms/none/acknowledge"
    body = {"by": "me", "verdict": "true", "reason": "seen"}
    return httpx.post(url, headers=headers, json=body, trust_env=False).status_code
