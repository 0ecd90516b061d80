"""From message to ledger: admission, idleness, refusals, and real sockets."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zmq

from monitor.backlog import Backlog
from monitor.ingest import Ingest, admit, open_socket, receive, waiting_messages
from monitor.ledger import Ledger, LedgerSnapshot, read
from monitor.ring import Ring
from monitor.shared import Arrays, lay_out, size_of
from monitor.types import Admission, Dropped, Unjudged
from monitor.wire.native import PLACE, REASONS, Part, WireLimits, decode, encode

SLOTS, BATCH, MAX_WAIT_NS, SILENCE_NS = 6, 3, 30, 100
LIMITS = WireLimits(max_frames=64, max_side_px=64)
ADMISSION = Admission(2, 2, "uint8", "e1", frozenset({"hatch", "contour"}))
PATIENCE_S = 20.0


def new_memory() -> tuple[Arrays, Arrays]:
    layout = Ring.fields(SLOTS, 2, 2, "uint8"), Ledger.fields()
    ring, ledger = lay_out(bytearray(size_of(*layout)), *layout)
    return ring, ledger


def new_ingest(memory: tuple[Arrays, Arrays], admission: Admission | None = ADMISSION) -> tuple[Ingest, Backlog]:
    backlog = Backlog(Ring(memory[0]), Ledger(memory[1]), BATCH, MAX_WAIT_NS)
    return Ingest("cam", admission, LIMITS, SILENCE_NS, backlog), backlog


def frames(
    seq: int,
    count: int = 1,
    *,
    camera: str = "cam",
    stream: str = "s",
    side: int = 2,
    dtype: str = "uint8",
    **more: Any,
) -> list[Part]:
    """A message that ADMISSION admits, unless *more* says otherwise."""
    pixels = np.zeros((count, side, side), dtype)
    return encode(camera, stream, seq, 0, pixels, **({"settings": "e1", "context": "hatch"} | more))


def places(*active: int) -> Any:
    found = np.zeros(len(active), PLACE)
    found["active"] = active
    return found


class Bench:
    def __init__(self, admission: Admission | None = ADMISSION) -> None:
        self.memory = new_memory()
        self.ingest, self.backlog = new_ingest(self.memory, admission)

    def take(self, parts: list[Part], now_ns: int = 0) -> LedgerSnapshot:
        self.ingest.take(parts, now_ns)
        found = read(self.memory[1])
        assert found.closes
        return found


def test_frames_that_the_bundle_speaks_for_are_to_be_judged() -> None:
    bench = Bench()
    assert bench.take(frames(0, 3)).in_flight == 3
    assert bench.backlog.ring.codes(0, 3).tolist() == [0, 0, 0]
    assert bench.ingest.mismatch is None
    assert not bench.ingest.idle


@pytest.mark.parametrize(
    ("changes", "code", "why"),
    [
        ({}, 0, None),
        ({"context": "contour"}, 0, None),
        ({"side": 3}, Unjudged.UNCALIBRATED, "frame size 3x3, bundle 2x2"),
        ({"dtype": "uint16"}, Unjudged.UNCALIBRATED, "pixels uint16, bundle uint8"),
        ({"settings": "e2"}, Unjudged.UNCALIBRATED, "settings 'e2', bundle 'e1'"),
        ({"settings": ""}, Unjudged.UNCALIBRATED, "settings '', bundle 'e1'"),
        ({"context": "skin"}, Unjudged.CONTEXT_UNKNOWN, "context 'skin' is not in the bundle"),
        ({"context": "skin", "settings": "e2"}, Unjudged.UNCALIBRATED, "settings 'e2', bundle 'e1'"),
    ],
)
def test_frames_unlike_the_bundles_are_not_judged_and_the_ingest_says_why(
    changes: dict[str, Any], code: int, why: str | None
) -> None:
    header = decode(frames(0, **changes), LIMITS).header
    assert admit(header, ADMISSION) == (code, why)
    bench = Bench()
    bench.take(frames(0, **changes))
    assert bench.ingest.mismatch == why


def test_a_bundle_without_settings_or_contexts_admits_any() -> None:
    header = decode(frames(0, settings="x", context="y"), LIMITS).header
    assert admit(header, ADMISSION._replace(settings=None, contexts=None)) == (0, None)


def test_without_a_bundle_every_frame_is_uncalibrated_at_once() -> None:
    bench = Bench(admission=None)
    assert bench.ingest.mismatch == "no bundle"
    found = bench.take(frames(0, 3, places=places(1, 0, 1)))
    assert found.unjudged[Unjudged.UNCALIBRATED] == 2
    assert found.unjudged[Unjudged.INACTIVE] == 1
    assert (found.in_flight, bench.ingest.mismatch) == (0, "no bundle")


def test_frames_of_the_right_size_enter_the_ring_though_they_are_not_judged() -> None:
    bench = Bench()
    assert bench.take(frames(0, settings="e2")).in_flight == 1
    assert bench.take(frames(1, context="skin")).in_flight == 2
    assert bench.take(frames(2, active=False)).in_flight == 3
    assert bench.backlog.ring.codes(0, 3).tolist() == [2, 3, 1]
    assert bench.take(frames(3, side=3)).in_flight == 3


def test_a_mismatch_ends_with_the_frames_that_caused_it() -> None:
    bench = Bench()
    bench.take(frames(0, settings="e2"))
    bench.take(encode("cam", "s", 1, 0, None))
    assert bench.ingest.mismatch == "settings 'e2', bundle 'e1'"
    bench.take(frames(1))
    assert bench.ingest.mismatch is None


def test_inactive_goes_before_whatever_else_keeps_a_frame_from_being_judged() -> None:
    bench = Bench()
    bench.take(frames(0, 3, settings="e2", places=places(0, 1, 0)))
    assert bench.backlog.ring.codes(0, 3).tolist() == [1, 2, 1]
    found = bench.take(frames(3, 2, side=3, active=False))
    assert found.unjudged[Unjudged.INACTIVE] == 2


def test_inactive_frames_need_no_context_and_end_what_an_unknown_one_began() -> None:
    bench = Bench()
    bench.take(frames(0, context="skin"))
    assert bench.ingest.mismatch == "context 'skin' is not in the bundle"
    bench.take(frames(1, context="", active=False))
    assert bench.ingest.mismatch is None
    bench.take(frames(2, context=""))
    assert bench.ingest.mismatch == "context '' is not in the bundle"


def test_a_header_that_says_inactive_speaks_for_all_its_frames() -> None:
    bench = Bench()
    bench.take(frames(0, 2, active=False, places=places(1, 1)))
    assert bench.backlog.ring.codes(0, 2).tolist() == [1, 1]
    assert bench.backlog.ring.view(0, 2).active.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("parts", "idle"),
    [
        (frames(1), False),
        (frames(1, active=False), True),
        (frames(1, 2, places=places(0, 0)), True),
        (frames(1, 2, places=places(0, 1)), False),
        (encode("cam", "s", 1, 0, None), True),
    ],
)
def test_idle_is_told_not_guessed(parts: list[Part], idle: bool) -> None:
    bench = Bench()
    for before in (frames(0), encode("cam", "s", 0, 0, None)):
        bench.take(before)
        bench.take(parts)
        assert bench.ingest.idle == idle


def test_a_refused_message_is_neither_heard_nor_idle() -> None:
    bench = Bench()
    assert bench.ingest.last_heard_ns is None
    bench.take(frames(0), 10)
    bench.take(frames(0, stream="other", active=False), 20)
    bench.take([b"noise"], 30)
    assert (bench.ingest.last_heard_ns, bench.ingest.idle) == (10, False)


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([], "parts"),
        (frames(1, camera="cam2"), "other_camera"),
        (frames(1, stream="other"), "second_stream"),
        (frames(1, 65), "size"),
        ([b"cam", b"{}", b""], "version"),
        ([b"cam", json.dumps({"v": 1}).encode(), b""], "stream"),
    ],
)
def test_a_message_that_is_refused_is_counted_by_reason_and_carries_no_frames(parts: list[Part], reason: str) -> None:
    bench = Bench()
    before = bench.take(frames(0))
    after = bench.take(parts, 1)
    assert after == before._replace(rejected=dict(before.rejected) | {reason: 1})
    refused = {why: one.at_ns for why, one in bench.ingest.rejections.items() if one is not None}
    assert refused == {reason: 1}
    assert reason in REASONS


def test_what_a_broken_message_may_have_held_shows_as_a_gap() -> None:
    bench = Bench()
    bench.take(frames(0))
    broken = frames(1, 3)
    bench.take([*broken[:2], b"short"])
    assert bench.take(frames(4)).lost_upstream == 3


def test_a_restarted_process_counts_what_it_missed_of_the_same_stream() -> None:
    bench = Bench()
    bench.take(frames(0, 2))
    bench.ingest, bench.backlog = new_ingest(bench.memory)
    found = bench.take(frames(5, 1))
    assert (found.lost_upstream, found.announced, found.restarts) == (3, 6, 0)
    assert (found.dropped[Dropped.STALE], found.in_flight) == (2, 1)


def test_a_restarted_process_still_refuses_a_second_stream() -> None:
    bench = Bench()
    bench.take(frames(0), 1000)
    bench.ingest, bench.backlog = new_ingest(bench.memory)
    assert bench.take(frames(0, stream="other"), 1000 + SILENCE_NS - 1).rejected["second_stream"] == 1
    assert bench.take(frames(1, stream="other"), 1000 + SILENCE_NS).restarts == 1


# Sockets


@pytest.fixture
def context() -> "Iterator[zmq.Context[Any]]":
    made: zmq.Context[Any] = zmq.Context()
    yield made
    made.destroy(linger=0)


@pytest.mark.parametrize("kind", ["sub", "pull"])
def test_frames_come_in_over_a_socket_until_it_is_told_to_stop(context: "zmq.Context[Any]", kind: Any) -> None:
    socket = open_socket(context, "tcp://127.0.0.1:*", kind, True, "cam", 1000, 10**6)
    sender = context.socket(zmq.XPUB if kind == "sub" else zmq.PUSH)
    sender.setsockopt(zmq.SNDTIMEO, int(PATIENCE_S * 1000))
    sender.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
    sender.connect(socket.getsockopt_string(zmq.LAST_ENDPOINT))
    bench, stop = Bench(), threading.Event()
    thread = threading.Thread(target=receive, args=(socket, bench.ingest, stop, lambda: 7))
    thread.start()
    if kind == "sub":
        assert sender.recv() == b"\x01cam"  # what is published before this is lost
    for n in range(50):
        sender.send_multipart(frames(2 * n, 2))
    sender.send_multipart([b"cam", b"{", b"", b"", b"", b""])
    sender.send_multipart([b"cam"])
    sender.send_multipart(encode("cam", "s", 105, 0, None))
    until(lambda: read(bench.memory[1]).announced == 105)
    stop.set()
    thread.join(PATIENCE_S)
    socket.close()
    sender.close(linger=0)
    assert not thread.is_alive()
    found = read(bench.memory[1])
    assert (found.received, found.lost_upstream, found.rejected["parts"]) == (100, 5, 2)
    assert bench.ingest.last_heard_ns == 7
    assert found.closes


def test_a_message_of_who_may_not_speak_is_neither_frames_nor_noise(context: "zmq.Context[Any]") -> None:
    socket = open_socket(context, "tcp://127.0.0.1:*", "pull", True, "cam", 1000, 10**6)
    sender = context.socket(zmq.PUSH)
    sender.connect(socket.getsockopt_string(zmq.LAST_ENDPOINT))
    bench, stop, asked = Bench(), threading.Event(), iter([True, False, True])
    thread = threading.Thread(target=receive, args=(socket, bench.ingest, stop, lambda: 7, lambda frame: next(asked)))
    thread.start()
    for n in range(3):
        sender.send_multipart(frames(n))
    until(lambda: read(bench.memory[1]).announced == 3)
    stop.set()
    thread.join(PATIENCE_S)
    socket.close()
    sender.close(linger=0)
    found = read(bench.memory[1])
    assert (found.received, found.lost_upstream, sum(found.rejected.values())) == (2, 1, 0)


def test_keys_are_given_before_the_socket_is_opened(context: "zmq.Context[Any]") -> None:
    endpoints: list[str] = []

    def lock(socket: "zmq.Socket[bytes]") -> None:
        endpoints.append(socket.getsockopt_string(zmq.LAST_ENDPOINT))

    open_socket(context, "tcp://127.0.0.1:*", "pull", True, "cam", 10, 1000, lock).close()
    assert endpoints == [""]


@pytest.mark.parametrize(
    ("rate_hz", "frames_per_message", "waiting"), [(10_000, 1, 40_000), (10_000, 16, 2500), (10, 1, 1000), (10, 99, 64)]
)
def test_as_many_messages_may_wait_as_make_the_seconds(rate_hz: float, frames_per_message: int, waiting: int) -> None:
    assert waiting_messages(rate_hz, 4.0, frames_per_message) == waiting


def until(holds: Any) -> None:
    """Wait for another thread by trying again, for a while."""
    tick = threading.Event()
    for _ in range(int(PATIENCE_S * 1000)):
        if holds():
            return
        tick.wait(0.001)
    pytest.fail("did not come about")


def test_a_peer_that_sends_far_more_than_allowed_is_cut_off(context: "zmq.Context[Any]") -> None:
    socket = open_socket(context, "tcp://127.0.0.1:*", "pull", True, "cam", 10, 1000)
    endpoint = socket.getsockopt_string(zmq.LAST_ENDPOINT)
    greedy, modest = context.socket(zmq.PUSH), context.socket(zmq.PUSH)
    monitor = greedy.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    monitor.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
    greedy.connect(endpoint)
    greedy.send(b"x" * 4001)
    assert monitor.recv_multipart()
    modest.connect(endpoint)
    modest.send(b"x" * 4000)
    socket.setsockopt(zmq.RCVTIMEO, int(PATIENCE_S * 1000))
    assert len(socket.recv()) == 4000
    greedy.disable_monitor()
    for one in (greedy, modest, socket, monitor):
        one.close(linger=0)


@pytest.mark.parametrize("bind", [True, False])
@pytest.mark.parametrize("endpoint", ["nonsense", "tcp://127.0.0.1", "smoke://signals", "tcp://127.0.0.1:99999"])
def test_a_malformed_endpoint_is_one_line_that_names_it(context: "zmq.Context[Any]", endpoint: str, bind: bool) -> None:
    with pytest.raises(OSError, match=f"^cannot (bind|connect) to {endpoint}: [^\n]+$"):
        open_socket(context, endpoint, "sub", bind, "cam", 10, 1000)


def test_an_endpoint_in_use_is_one_line_that_says_so(context: "zmq.Context[Any]") -> None:
    first = open_socket(context, "tcp://127.0.0.1:*", "pull", True, "cam", 10, 1000)
    taken = first.getsockopt_string(zmq.LAST_ENDPOINT)
    with pytest.raises(OSError, match=f"^cannot bind to {taken}: Address already in use$"):
        open_socket(context, taken, "pull", True, "cam", 10, 1000)
    first.close()


def test_layers_end_where_the_camera_says_another_or_the_jobs_last_message() -> None:
    bench, ended = Bench(), []
    told = ((None, "", False), (1, "a", False), (1, "a", False), (2, "a", False), (2, "b", False), (2, "b", True))
    for seq, (layer, job, end) in enumerate((*told, (1, "c", False))):
        bench.take(frames(seq, layer=layer, job=job, end=end))
        ended.append(bench.ingest.layers_ended)
    assert ended == [0, 0, 0, 1, 2, 3, 3]
