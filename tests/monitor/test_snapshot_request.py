"""Requests for a snapshot: any bytes are one or are refused with a reason."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.snapshots.page import Refusal
from monitor.snapshots.request import (
    BYTES_MAX,
    ENVELOPE_MAX,
    PARTS_KEPT,
    REASONS,
    Request,
    RequestError,
    decode,
    unwrap,
)


@pytest.mark.parametrize(
    ("parts", "envelope", "request_parts"),
    [
        ([b"", b"{}"], [b""], [b"{}"]),  # of a REQ socket
        ([b"\0\0\0\7", b"", b"{}"], [b"\0\0\0\7", b""], [b"{}"]),  # of one with ZMQ_REQ_CORRELATE
        ([b"{}"], [], [b"{}"]),  # of a DEALER socket
        ([b""], [], [b""]),
        ([b"", b""], [b""], [b""]),
        ([], [], []),
        ([b"a", b"b"], [], [b"a", b"b"]),
        ([b"a", b"b", b"c", b"d", b"", b"{}"], [], [b"a", b"b", b"c", b"d", b"", b"{}"]),
    ],
)
def test_the_envelope_is_what_goes_before_the_empty_part(
    parts: list[bytes], envelope: list[bytes], request_parts: list[bytes]
) -> None:
    assert unwrap(parts) == (envelope, request_parts)


@given(st.lists(st.sampled_from([b"", b"x", b"{}"]), max_size=12))
def test_a_message_of_many_parts_is_known_by_its_first(parts: list[bytes]) -> None:
    whole, kept = unwrap(parts), unwrap(parts[:PARTS_KEPT])
    assert kept[0] == whole[0]
    assert (len(kept[1]) == 1) == (len(whole[1]) == 1)
    assert len(kept[0]) <= ENVELOPE_MAX


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        (b"", Request()),
        (b"{}", Request()),
        (b'{"v":1}', Request(state="open")),
        (b'{"v":1,"state":"active","camera":"melt"}', Request(state="active", camera="melt")),
        (b'{"v":1,"state":"unacknowledged","before":"00a-b"}', Request(state="unacknowledged", before="00a-b")),
        (b'{"v":1,"who":{"am":["I"]}}', Request()),
    ],
)
def test_a_request_is_an_object_or_empty_and_keys_that_are_not_known_are_passed_over(
    body: bytes, asked: Request
) -> None:
    assert decode([body], "melt") == asked


@pytest.mark.parametrize(
    ("parts", "reason"),
    [
        ([b'{"v":2,"state":{"new":1}}'], "version"),
        ([b'{"v":"1"}'], "malformed"),
        ([b"[]"], "malformed"),
        ([b"null"], "malformed"),
        ([b'{"state":"all"}'], "malformed"),
        ([b'{"before":7}'], "malformed"),
        ([b'{"v":1'], "malformed"),
        ([b'{"v":1}{"v":1}'], "malformed"),
        ([b'{"camera":"\xff"}'], "malformed"),
        ([b'{"x":' + b"[" * (BYTES_MAX - 10)], "malformed"),
        ([b" " * (BYTES_MAX + 1)], "size"),
        ([b"{}", b"{}"], "parts"),
        ([], "parts"),
        ([b'{"camera":"other"}'], "camera"),
    ],
)
def test_what_is_no_request_is_refused_with_its_reason(parts: list[bytes], reason: str) -> None:
    with pytest.raises(RequestError) as refused:
        decode(parts, "melt")
    assert refused.value.reason == reason


TEXTS = st.text() | st.sampled_from(["v", "state", "camera", "before", "\ud800", "open"])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=200) | DOCUMENTS.map(lambda one: json.dumps(one).encode()))
def test_whatever_comes_is_a_request_or_is_refused_in_words_that_can_be_sent(body: bytes) -> None:
    reason, said = answer_to(body)
    assert reason in ("answered", *REASONS)
    assert json.loads(said)["v"] == 1


def answer_to(body: bytes) -> tuple[str, bytes]:
    try:
        return "answered", msgspec.json.encode(decode([body], "melt"))
    except RequestError as error:
        return error.reason, msgspec.json.encode(Refusal(str(error)))
