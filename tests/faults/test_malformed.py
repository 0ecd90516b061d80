"""A million malformed messages beside a valid camera: none harms, each is counted, and the camera loses no frame."""

import random
import threading
from collections.abc import Sequence
from pathlib import Path

import zmq
from daemon import CAMERA, Camera, Daemon
from frames import normal

from monitor.bundle import Bundle
from monitor.wire.native import Decoder, WireError, WireLimits, encode

MESSAGES = 1_000_000
MUTANTS = 5_000
GROWTH_MIB = 40  # that a process may grow by while it refuses them: buffers of sockets, no more with more messages
PATIENCE_S = 600.0

Parts = list[bytes]


def mutants(count: int) -> list[Parts]:
    """Messages that were valid before something of them was changed, and that the decoder refuses."""
    chance, decode, found = random.Random(1), Decoder(WireLimits()), list[Parts]()
    while len(found) < count:
        frames = normal(chance.choice((1, 3)), 1)
        more = {"context": "hatch", "job": "part", "layer": 3} if chance.random() < 0.5 else {}
        parts = mutated(
            chance, [bytes(part) for part in encode(CAMERA, "evil", chance.randrange(10**6), 5, frames, **more)]
        )
        try:
            decode(parts)
        except WireError:
            found.append(parts)
    return found


def mutated(chance: random.Random, parts: Parts) -> Parts:
    match chance.randrange(7):
        case 0:  # bytes of the header
            header = bytearray(parts[1])
            for _ in range(chance.randint(1, 4)):
                header[chance.randrange(len(header))] = chance.randrange(256)
            parts[1] = bytes(header)
        case 1:
            parts[1] = parts[1][: chance.randrange(len(parts[1]))]
        case 2:
            parts[2] = parts[2][: chance.randrange(len(parts[2]))]
        case 3:
            del parts[chance.randrange(len(parts))]
        case 4:
            parts.insert(chance.randrange(len(parts) + 1), chance.randbytes(chance.randrange(64)))
        case 5:  # numbers beyond all bounds
            number = chance.choice((b"-1", b"1e999", b"99999999999999999999", b"null", b"[]"))
            parts[1] = parts[1].replace(b'"seq":', b'"seq":' + number + b',"x":', 1)
        case _:
            parts[0] = chance.randbytes(chance.randrange(80))
    return parts


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) / 256


class Flood(threading.Thread):
    """Pushes *messages* again and again until so many have left."""

    def __init__(self, endpoint: str, messages: Sequence[Parts], count: int) -> None:
        super().__init__()
        self._endpoint, self._messages, self._count = endpoint, messages, count

    def run(self) -> None:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        socket = context.socket(zmq.PUSH)
        socket.connect(self._endpoint)
        for number in range(self._count):
            socket.send_multipart(self._messages[number % len(self._messages)])
        socket.close(linger=-1)
        context.term()


def test_a_million_malformed_messages_are_counted_and_cost_a_valid_camera_no_frame(
    small_bundle: Bundle, tmp_path: Path
) -> None:
    wrong, frames, sent = mutants(MUTANTS), normal(40, 1), 0
    with Daemon(tmp_path, small_bundle.path) as daemon, Camera(daemon.endpoint) as camera:
        daemon.wait_until_listening()
        warm = Flood(daemon.endpoint, wrong, 20_000)
        warm.start()
        warm.join()
        daemon.wait_until(lambda: sum(daemon.status().ledger.rejected.values()) == 20_000, "the first ones")
        hot = daemon.child("hot")
        before_mib = resident_mib(hot)
        flood = Flood(daemon.endpoint, wrong, MESSAGES)
        flood.start()
        while flood.is_alive():
            camera.send(frames)
            sent += len(frames)
            flood.join(0.1)
        daemon.wait_until(
            lambda: sum(daemon.status().ledger.rejected.values()) == 20_000 + MESSAGES, "all of them", PATIENCE_S
        )
        status = daemon.wait_until_judged(sent)
        assert (status.ledger.received, status.ledger.lost_upstream, sum(status.ledger.dropped.values())) == (
            sent,
            0,
            0,
        )
        assert daemon.child("hot") == hot, "it was not restarted"
        assert resident_mib(hot) - before_mib < GROWTH_MIB
        assert daemon.stop() == 0
