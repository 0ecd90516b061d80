"""Against a real server on loopback."""

import asyncio
import hashlib
import hmac
import re
import ssl
import time
from email.utils import formatdate
from pathlib import Path
from typing import Any

import msgspec
import pytest
from daemon_example import free_port
from hypothesis import given
from hypothesis import strategies as st
from sink_examples import (
    Answer,
    Receiver,
    Request,
    VirtualClock,
    certificates,
    dispatching,
    no_content,
    of,
    route,
    run,
    some_alarm,
    some_entry,
    some_journal,
    status,
    until,
)

from monitor.sinks.retry import Policy
from monitor.sinks.sink import DeliveryError, RefusedError, SinkError
from monitor.sinks.webhook import ANSWER_BYTES, WebhookSink, retry_after_s, secret_of, signature, trust

SECRET = b"between us"
NOW_S = 1_800_000_000.5


def sink(receiver: Receiver, timeout_s: float = 5.0, tls: ssl.SSLContext | None = None) -> WebhookSink:
    scheme = "http" if tls is None else "https"
    url = f"{scheme}://127.0.0.1:{receiver.port}/alarms?key=1"
    return WebhookSink("office", url, timeout_s, SECRET, tls or trust("office", None), lambda: NOW_S)


def delivered(answer: Answer, timeout_s: float = 5.0) -> list[Request]:
    """What a receiver that answers so was sent, for one change. Raises what the sink raises."""
    receiver = Receiver(free_port())
    receiver.answer = answer

    async def main() -> None:
        async with receiver.up():
            webhook = sink(receiver, timeout_s)
            try:
                await webhook.deliver(some_entry(rev=3, why="Ü"))
            finally:
                await webhook.close()

    run(main)
    return receiver.requests


def test_an_alarm_is_posted_signed_and_recognisable() -> None:
    [request] = delivered(no_content)
    assert request.line == "POST /alarms?key=1 HTTP/1.1"
    assert msgspec.json.decode(request.body)["why"] == "Ü"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["idempotency-key"] == f"{some_alarm().id}.3"
    moment, code = (part.partition("=")[2] for part in request.headers["framewatch-signature"].split(","))
    assert moment == "1800000000"
    assert code == hmac.new(SECRET, moment.encode() + b"." + request.body, hashlib.sha256).hexdigest()


@given(body=st.binary(max_size=50), other=st.binary(max_size=50), moment=st.integers(0, 2**40))
def test_a_signature_speaks_for_one_body_at_one_moment_only(body: bytes, other: bytes, moment: int) -> None:
    signed = signature(SECRET, moment, body)
    assert (signature(SECRET, moment, other) == signed) == (body == other)
    assert signature(SECRET, moment + 1, body) != signed
    assert signature(b"other", moment, body) != signed


def test_the_check_of_the_documentation_knows_a_genuine_request_from_others() -> None:
    text = (Path(__file__).parents[2] / "docs" / "sinks.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    known: dict[str, Any] = {}
    exec(block, known)
    is_genuine = known["is_genuine"]
    now_s = int(time.time())
    header = signature(SECRET, now_s, b"{}")
    assert is_genuine(SECRET, header, b"{}")
    assert not is_genuine(b"other", header, b"{}")
    assert not is_genuine(SECRET, header, b"{ }")
    assert not is_genuine(SECRET, header.replace(str(now_s), str(now_s + 1)), b"{}")
    assert not is_genuine(SECRET, signature(SECRET, now_s - 400, b"{}"), b"{}")
    assert not any(is_genuine(SECRET, wrong, b"{}") for wrong in ("", "v1=", "t=x,v1=y", "t=1"))


@pytest.mark.parametrize("code", [200, 201, 202, 299])
def test_every_2xx_is_delivered(code: int) -> None:
    assert len(delivered(status(code, body=b"thanks"))) == 1


@pytest.mark.parametrize("code", [400, 401, 404, 410, 413, 422])
def test_4xx_is_refused_for_good_with_what_the_receiver_says(code: int) -> None:
    with pytest.raises(RefusedError, match=f"the answer is {code}: we never will"):
        delivered(status(code, body=b"we never\nwill"))


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 599])
def test_what_speaks_of_the_moment_is_tried_again_when_the_receiver_says(code: int) -> None:
    with pytest.raises(DeliveryError, match=f"the answer is {code}") as caught:
        delivered(status(code, "Retry-After: 17"))
    assert caught.value.after_s == 17.0


def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(DeliveryError, match="the answer is 307; redirects are not followed"):
        delivered(status(307, "Location: http://127.0.0.1:1/elsewhere"))


async def hang(_: asyncio.StreamWriter, __: Request) -> None:
    await asyncio.Event().wait()


async def drip(writer: asyncio.StreamWriter, _: Request) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def drip_body(writer: asyncio.StreamWriter, _: Request) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.01)


async def hang_up(writer: asyncio.StreamWriter, _: Request) -> None:
    writer.write(b"HTTP/1.1 200 O")
    await writer.drain()
    writer.close()


async def nonsense(writer: asyncio.StreamWriter, _: Request) -> None:
    writer.write(b"\x00\xff no HTTP at all\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("answer", [hang, drip])
def test_a_server_that_hangs_or_drips_is_left_at_the_time_limit(answer: Answer) -> None:
    began_s = time.monotonic()
    with pytest.raises(DeliveryError, match=r"no answer within 0\.2 s"):
        delivered(answer, timeout_s=0.2)
    assert time.monotonic() - began_s < 5.0


@pytest.mark.parametrize("answer", [hang_up, nonsense])
def test_half_an_answer_is_none(answer: Answer) -> None:
    with pytest.raises(DeliveryError):
        delivered(answer)


def test_a_body_that_never_ends_does_not_undo_the_delivery() -> None:
    assert len(delivered(drip_body, timeout_s=0.2)) == 1


def test_a_long_answer_is_not_read_to_its_end() -> None:
    taken = 0

    async def flood(writer: asyncio.StreamWriter, _: Request) -> None:
        nonlocal taken
        writer.write(b"HTTP/1.1 404 No\r\nContent-Length: 1000000000\r\n\r\n")
        for _ in range(1000):
            writer.write(b"x" * 1_000_000)
            await writer.drain()
            taken += 1_000_000

    with pytest.raises(RefusedError) as caught:
        delivered(flood)
    assert len(str(caught.value)) < ANSWER_BYTES
    assert taken < 100_000_000  # what fits into the buffers of two sockets


def test_proxies_of_the_environment_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert len(delivered(no_content)) == 1


def test_over_tls_a_receiver_must_prove_who_it_is(tmp_path: Path) -> None:
    made = certificates(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made.cert, made.key)
    receiver = Receiver(free_port(), context)

    async def main() -> None:
        async with receiver.up():
            known = sink(receiver, tls=trust("office", str(made.cert)))
            await known.deliver(some_entry())
            await known.close()
            stranger = sink(receiver, tls=trust("office", None))
            with pytest.raises(DeliveryError, match="CERTIFICATE_VERIFY_FAILED"):
                await stranger.deliver(some_entry())
            await stranger.close()

    run(main)
    assert len(receiver.requests) == 1


def test_after_an_outage_of_ten_minutes_everything_arrives_in_order() -> None:
    receiver, clock = Receiver(free_port()), VirtualClock()
    down_s = 600.0

    async def main() -> None:
        webhook = sink(receiver)
        with some_journal() as journal:
            async with dispatching(journal, route(webhook), clock=clock) as dispatch:
                end_s = clock.mono_s() + down_s
                number = 0
                while clock.mono_s() < end_s:  # nobody listens at that port
                    number += 1
                    journal.write(some_alarm(number))
                    dispatch.wake()
                    await until(lambda: clock.sleepers == 2, "the pause after an attempt")
                    clock.pass_to_next()
                found = of(dispatch, "office")
                assert (found.circuit, found.sent) in [("open", 0), ("half_open", 0)]
                assert 8 < found.failures < 40, "pauses grow"
                async with receiver.up():
                    while len(receiver.requests) < number:
                        await asyncio.sleep(0.002)
                        clock.pass_s(1.0)
                    await until(lambda: of(dispatch, "office").pending == 0)
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert keys == [f"{some_alarm(one).id}.1" for one in range(1, number + 1)]

    run(main)


def test_a_receiver_that_answers_everything_once_with_an_error_gets_everything_in_order() -> None:
    receiver, clock = Receiver(free_port()), VirtualClock()

    async def moody(writer: asyncio.StreamWriter, request: Request) -> None:
        answers = {0: status(500), 1: hang_up, 2: status(429, "Retry-After: 5"), 3: no_content}
        await answers[(len(receiver.requests) - 1) % 4](writer, request)

    async def main() -> None:
        receiver.answer = moody
        with some_journal() as journal:
            async with receiver.up(), dispatching(journal, route(sink(receiver)), clock=clock) as dispatch:
                for number in range(1, 6):
                    journal.write(some_alarm(number))
                dispatch.wake()
                while of(dispatch, "office").sent < 5:
                    await asyncio.sleep(0.002)
                    clock.pass_s(1.0)
        keys = [request.headers["idempotency-key"] for request in receiver.requests]
        assert keys == [f"{some_alarm(1 + one // 4).id}.1" for one in range(20)]

    run(main)


def test_a_bad_alarm_does_not_hold_the_others() -> None:
    receiver, clock = Receiver(free_port()), VirtualClock()

    async def picky(writer: asyncio.StreamWriter, request: Request) -> None:
        bad = request.headers["idempotency-key"] == f"{some_alarm(2).id}.1"
        await status(422 if bad else 200)(writer, request)

    async def main() -> None:
        receiver.answer = picky
        with some_journal() as journal:
            policy = Policy(first_s=0.1)
            async with (
                receiver.up(),
                dispatching(journal, route(sink(receiver), policy=policy), clock=clock) as dispatch,
            ):
                for number in (1, 2, 3):
                    journal.write(some_alarm(number))
                dispatch.wake()
                while of(dispatch, "office").sent < 2:
                    await asyncio.sleep(0.002)
                    clock.pass_s(1.0)
                assert of(dispatch, "office").refused == 1

    run(main)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("0", 0.0),
        (" 120 ", 120.0),
        ("9" * 400, 999_999_999_999.0),
        (formatdate(NOW_S + 60, usegmt=True), 60.0),
        (formatdate(NOW_S - 60, usegmt=True), 0.0),
        ("Mon, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
def test_a_receiver_asks_for_a_pause_in_seconds_or_until_a_moment(header: str | None, seconds: float | None) -> None:
    found = retry_after_s(header, NOW_S)
    assert found == (None if seconds is None else pytest.approx(seconds, abs=1.0))


@given(header=st.text(max_size=40))
def test_no_header_is_more_than_not_understood(header: str) -> None:
    found = retry_after_s(header, NOW_S)
    assert found is None or found >= 0


def test_what_is_wrong_with_files_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "secret").write_text("  s3cret\n")
    assert secret_of("office", str(tmp_path / "secret")) == b"s3cret"
    assert secret_of("office", None) is None
    with pytest.raises(SinkError, match=r"^sinks\.webhooks 'office': secret_file: .*empty is empty$"):
        secret_of("office", str(tmp_path / "empty"))
    with pytest.raises(SinkError, match=r"secret_file: .* cannot be read: No such file"):
        secret_of("office", str(tmp_path / "none"))
    with pytest.raises(SinkError, match=r"ca_file: .*secret cannot be used"):
        trust("office", str(tmp_path / "secret"))
