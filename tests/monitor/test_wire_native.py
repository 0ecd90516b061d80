"""The native frame protocol: whatever is encoded comes back, whatever breaks it is refused by a known reason."""

import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.types import TEXT_BYTES, Message
from monitor.wire.native import (
    FLOAT32_MAX,
    INT64_MAX,
    PLACE,
    REASONS,
    Decoder,
    Part,
    WireError,
    WireLimits,
    decode,
    encode,
)

LIMITS = WireLimits(max_frames=8, max_side_px=16, max_frame_bytes=256, max_message_bytes=1024)
HEADER: dict[str, Any] = {"v": 1, "stream": "s", "seq": 7, "t_ns": 10, "shape": [2, 3, 4], "dtype": "uint8"}
PIXELS = bytes(range(24))


def message(**changes: object) -> list[Part]:
    """A lawful message of two 3 x 4 frames with *changes* to its header; None leaves a key out."""
    header = {key: value for key, value in (HEADER | changes).items() if value is not None}
    return [b"cam-1", json.dumps(header).encode(), PIXELS]


def records(*active: int, padding: int = 0) -> bytes:
    packed = np.zeros(len(active), [("x", "<f4"), ("y", "<f4"), ("active", "u1"), ("padding", "u1", 3)])
    packed["x"], packed["y"], packed["active"], packed["padding"] = 1.5, -2.5, active, padding
    return packed.tobytes()


def reason_of(parts: list[Part], limits: WireLimits = LIMITS) -> str:
    with pytest.raises(WireError) as caught:
        decode(parts, limits)
    assert caught.value.reason in REASONS
    assert "\n" not in str(caught.value)
    return caught.value.reason


def test_a_message_with_nothing_optional_means_what_the_protocol_says() -> None:
    header, pixels, places = decode(message(), LIMITS)
    assert (header.camera, header.stream, header.seq, header.t_ns, header.dt_ns) == ("cam-1", "s", 7, 10, 0)
    assert (header.count, header.height, header.width, header.dtype) == (2, 3, 4, "uint8")
    assert header.active
    assert not header.end
    assert (header.context, header.settings, header.job, header.layer, header.xy) == ("", "", "", None, None)
    assert pixels == PIXELS
    assert places is None


def test_a_shape_of_two_is_one_frame() -> None:
    assert decode(message(shape=[6, 4]), LIMITS).header.count == 1


def test_pixels_are_a_view_of_what_was_received() -> None:
    received = bytearray(PIXELS)
    pixels = decode([*message()[:2], received], LIMITS).pixels
    received[5] = 200
    assert pixels[5] == 200


def test_unknown_keys_are_ignored() -> None:
    assert decode(message(exposure={"us": [1, 2]}, V=3), LIMITS) == decode(message(), LIMITS)


def test_an_optional_key_that_is_null_counts_as_absent() -> None:
    optional = ["dt_ns", "codec", "active", "context", "settings", "job", "layer", "xy", "end", "meta"]
    parts = message()
    parts[1] = json.dumps(HEADER | dict.fromkeys(optional)).encode()
    assert decode(parts, LIMITS) == decode(message(), LIMITS)


def test_a_layer_below_the_plate_means_no_layer() -> None:
    assert decode(message(layer=-1), LIMITS).header.layer is None
    assert decode(message(layer=0), LIMITS).header.layer == 0


@pytest.mark.parametrize("shape", [[0, 3, 4], [0, 0, 0]])
def test_a_keep_alive_has_no_pixels(shape: list[int]) -> None:
    header, pixels, places = decode([*message(shape=shape, active=False)[:2], b""], LIMITS)
    assert (header.count, header.seq, header.active, len(pixels), places) == (0, 7, False, 0, None)


def test_each_frame_may_say_where_it_is_and_whether_the_process_is_on() -> None:
    places = decode([*message(meta="xy-active-v1"), records(1, 0)], LIMITS).places
    assert places is not None
    assert places["x"].tolist() == [1.5, 1.5]
    assert places["y"].tolist() == [-2.5, -2.5]
    assert places["active"].tolist() == [1, 0]


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("version", {"v": 2}),
        ("version", {"v": 2, "shape": None, "seq": "elsewhere"}),
        ("version", {"v": "1"}),
        ("version", {"v": None}),
        ("stream", {"stream": None}),
        ("stream", {"stream": 5}),
        ("text", {"stream": "x" * (TEXT_BYTES + 1)}),
        ("text", {"context": "ü" * (TEXT_BYTES // 2 + 1)}),
        ("text", {"job": "two\nlines"}),
        ("text", {"settings": "nul\0"}),
        ("text", {"context": "\u2028"}),
        ("text", {"job": 3}),
        ("seq", {"seq": None}),
        ("seq", {"seq": -1}),
        ("seq", {"seq": 1.5}),
        ("seq", {"seq": True}),
        ("seq", {"seq": INT64_MAX - 1}),
        ("seq", {"seq": 10**40}),
        ("time", {"t_ns": None}),
        ("time", {"t_ns": 2**63}),
        ("time", {"dt_ns": -1}),
        ("time", {"t_ns": INT64_MAX - 5, "dt_ns": 3}),
        ("shape", {"shape": None}),
        ("shape", {"shape": [24]}),
        ("shape", {"shape": [1, 1, 6, 4]}),
        ("shape", {"shape": [-2, -3, 4]}),
        ("shape", {"shape": [2, 0, 4]}),
        ("shape", {"shape": "2x3x4"}),
        ("size", {"shape": [9, 1, 1]}),
        ("size", {"shape": [1, 1, 17]}),
        ("size", {"shape": [1, 16, 16], "dtype": "uint16"}),
        ("size", {"shape": [5, 16, 16]}),
        ("size", {"shape": [INT64_MAX, INT64_MAX, INT64_MAX]}),
        ("length", {"shape": [2, 3, 5]}),
        ("length", {"dtype": "uint16"}),
        ("length", {"shape": [0, 3, 4]}),
        ("dtype", {"dtype": "float64"}),
        ("dtype", {"dtype": ">u2"}),
        ("dtype", {"dtype": None}),
        ("codec", {"codec": "lz4"}),
        ("codec", {"codec": 0}),
        ("layer", {"layer": "three"}),
        ("layer", {"layer": 2**63}),
        ("xy", {"xy": [1]}),
        ("xy", {"xy": [1, FLOAT32_MAX * 1.1]}),
        ("xy", {"xy": "here"}),
        ("header", {"active": "yes"}),
        ("header", {"end": 1}),
        ("header", {"more": "x" * 20_000}),
        ("meta", {"meta": "xy-active-v1"}),
        ("meta", {"meta": 1}),
    ],
)
def test_a_header_that_breaks_the_protocol_is_refused_by_reason(reason: str, changes: dict[str, object]) -> None:
    assert reason_of(message(**changes)) == reason


@pytest.mark.parametrize(
    ("reason", "parts"),
    [
        ("parts", []),
        ("parts", message()[:2]),
        ("parts", [*message(), b"", b""]),
        ("camera", [b"", *message()[1:]]),
        ("camera", [b"c" * 65, *message()[1:]]),
        ("camera", [b"cam 1", *message()[1:]]),
        ("camera", [b"cam\n", *message()[1:]]),
        ("camera", ["käm".encode(), *message()[1:]]),
        ("header", [b"cam", b"", PIXELS]),
        ("header", [b"cam", b"[]", PIXELS]),
        ("header", [b"cam", b"{", PIXELS]),
        ("header", [b"cam", b"\xff\xfe", PIXELS]),
        ("header", [b"cam", b'{"more":' + b"[" * 10_000, PIXELS]),
        ("length", [*message()[:2], PIXELS[:-1]]),
        ("meta", [*message(), records(1, 1)]),
        ("meta", [*message(meta="xy-v0"), records(1, 1)]),
        ("meta", [*message(meta="xy-active-v1"), records(1)]),
        ("meta", [*message(meta="xy-active-v1"), records(1, 1, padding=1)]),
    ],
)
def test_parts_that_break_the_protocol_are_refused_by_reason(reason: str, parts: list[Part]) -> None:
    assert reason_of(parts) == reason


def test_what_a_peer_wrote_is_never_quoted() -> None:
    for changes in ({"dtype": "evil"}, {"codec": "evil"}, {"meta": "evil"}, {"job": "evil\n"}, {"xy": "evil"}):
        with pytest.raises(WireError) as caught:
            decode(message(**changes), LIMITS)
        assert "evil" not in str(caught.value)


# Whatever was encoded

names = st.text("abcXYZ019._-", min_size=1, max_size=64)
texts = st.text('aZ09 ~"\\/é\u00a0\u200b漢😀', max_size=TEXT_BYTES // 4)
coordinates = st.floats(-FLOAT32_MAX, FLOAT32_MAX)


@st.composite
def arguments(draw: st.DrawFn) -> dict[str, Any]:
    count, height, width = draw(st.tuples(st.integers(0, 4), st.integers(1, 5), st.integers(1, 5)))
    dtype = draw(st.sampled_from(["uint8", ">u2", "uint16", "float32", ">f4"]))
    pixels = (np.arange(count * height * width) % 251).astype(dtype).reshape(count, height, width)
    places = np.zeros(count, PLACE)
    places["x"], places["active"] = np.arange(count), np.arange(count) % 2
    dt_ns = draw(st.integers(0, 10**12))
    return {
        "camera": draw(names),
        "stream": draw(texts),
        "seq": draw(st.integers(0, INT64_MAX - count)),
        "t_ns": draw(st.integers(-(2**63), INT64_MAX - count * dt_ns)),
        "pixels": draw(st.sampled_from([pixels, pixels[:, ::-1], pixels[0] if count else None])),
        "dt_ns": dt_ns,
        "active": draw(st.booleans()),
        "context": draw(texts),
        "settings": draw(texts),
        "job": draw(texts),
        "layer": draw(st.none() | st.integers(0, INT64_MAX)),
        "xy": draw(st.none() | st.tuples(coordinates, coordinates)),
        "end": draw(st.booleans()),
        "places": draw(st.sampled_from([None, places])),
    }


def in_one_frame(given: dict[str, Any]) -> bool:
    return given["pixels"] is None or given["pixels"].ndim == 2


@given(arguments())
def test_what_is_encoded_is_decoded(given: dict[str, Any]) -> None:
    if in_one_frame(given) and given["places"] is not None:
        given["places"] = given["places"][: 0 if given["pixels"] is None else 1]
    header, pixels, places = decode(encode(**given), WireLimits())
    sent: npt.NDArray[Any] = np.empty((0, 0, 0), np.uint8) if given["pixels"] is None else given["pixels"]
    sent = sent.reshape(-1, *sent.shape[-2:]) if sent.size else sent
    assert (header.count, header.height, header.width) == sent.shape
    assert np.array_equal(np.frombuffer(pixels, header.dtype).reshape(sent.shape), sent)
    for key in set(given) - {"pixels", "places"}:
        assert getattr(header, key) == given[key], key
    assert (places is None) == (given["places"] is None)
    if places is not None:
        for name in ("x", "y", "active"):
            assert places[name].tolist() == given["places"][name].tolist()


def test_contiguous_pixels_are_sent_without_a_copy() -> None:
    pixels = np.zeros((2, 3, 4), np.uint8)
    parts = encode("cam", "s", 0, 0, pixels)
    pixels[1, 2, 3] = 9
    assert memoryview(parts[2])[23] == 9


@pytest.mark.parametrize(
    ("reason", "changes"),
    [
        ("camera", {"camera": "a b"}),
        ("camera", {"camera": "kämera"}),
        ("dtype", {"pixels": np.zeros((3, 4))}),
        ("shape", {"pixels": np.zeros(3, np.uint8)}),
        ("seq", {"seq": -1}),
        ("text", {"job": "x" * 200}),
        ("meta", {"places": np.zeros(3, PLACE)}),
    ],
)
def test_a_publisher_learns_of_its_mistake_before_its_readers(reason: str, changes: dict[str, Any]) -> None:
    lawful: dict[str, Any] = {"camera": "cam", "stream": "s", "seq": 0, "t_ns": 0, "pixels": np.zeros((3, 4), np.uint8)}
    with pytest.raises(WireError) as caught:
        encode(**(lawful | changes))
    assert caught.value.reason == reason


# Any bytes at all

numbers = st.sampled_from([0, 1, -1, 2, 24, 2**31, 2**63 - 1, 2**63, -(2**63) - 1, 10**30, 0.5, -0.0, 1e39, 1e300])
words = st.sampled_from(["", "a", "raw", "uint16", "xy-active-v1", "\0", "\n", "é" * 65, "\ud83d\ude00", "\udc00"])
scalars = st.none() | st.booleans() | numbers | words
json_values = scalars | st.lists(scalars, max_size=4) | st.dictionaries(words, scalars, max_size=2)
keys = st.sampled_from([*HEADER, "dt_ns", "codec", "active", "context", "job", "layer", "xy", "end", "meta", "other"])


def decodes_or_refuses(parts: list[Part]) -> None:
    try:
        decoded = decode(parts, LIMITS)
    except WireError as error:
        reason = error.reason
    else:
        consistent(decoded)
        return
    assert reason in REASONS


def consistent(decoded: Message) -> None:
    header = decoded.header
    assert len(decoded.pixels) == header.count * header.frame_bytes
    assert header.seq >= 0
    assert header.seq + header.count <= INT64_MAX
    assert header.t_ns + header.count * header.dt_ns <= INT64_MAX
    for text in (header.stream, header.context, header.settings, header.job):
        assert len(text.encode()) <= TEXT_BYTES
        assert "\0" not in text
    assert decoded.places is None or len(decoded.places) == header.count


@given(st.lists(st.binary(max_size=64), max_size=6))
def test_any_bytes_decode_or_are_refused(parts: list[Part]) -> None:
    decodes_or_refuses(parts)


@given(st.dictionaries(keys, json_values, max_size=6), st.sampled_from([b"", PIXELS, b"x" * 48]))
def test_any_json_header_decodes_or_is_refused(changes: dict[str, Any], pixels: bytes) -> None:
    decodes_or_refuses([b"cam", json.dumps(HEADER | changes).encode(), pixels])


@given(st.integers(0, 2), st.integers(0, 200), st.binary(max_size=4), st.integers(0, 6))
def test_a_damaged_message_decodes_or_is_refused(part: int, at: int, inserted: bytes, removed: int) -> None:
    parts = message(context="hätch", xy=[1, 2], layer=4, job="\ud83d\ude00")
    whole = bytes(parts[part])
    at %= len(whole)
    parts[part] = whole[:at] + inserted + whole[at + removed :]
    decodes_or_refuses(parts)


@pytest.mark.parametrize("text", [rb"\ud800", rb"\udc00\ud800", b"\xed\xa0\x80", b"\xff", rb"\u0000"])
def test_text_that_is_not_unicode_is_refused(text: bytes) -> None:
    header = json.dumps(HEADER).encode().replace(b'"s"', b'"' + text + b'"')
    assert reason_of([b"cam", header, PIXELS]) in ("text", "header")


def test_a_decoder_says_of_any_message_what_one_without_memory_says() -> None:
    decoder = Decoder(LIMITS)
    changes: list[dict[str, Any]] = [
        {},
        {"seq": 9, "t_ns": 99, "xy": [1.5, 2.5]},
        {"seq": 9, "xy": [1e39, 0.0]},
        {"context": "hatch"},
        {"seq": -1},
        {"seq": INT64_MAX},
        {"dt_ns": 5, "t_ns": INT64_MAX},
        {"shape": [1, 3, 4]},
        {"shape": [24]},
        {"active": False, "layer": 3, "end": True},
        {"job": "\x00"},
        {"codec": "lz4"},
        {"meta": "xy-active-v1"},
        {"v": 2},
    ]
    for before in changes:
        for now in changes:
            for parts in (message(**before), message(**now), [b"cam-2", *message(**now)[1:]], [b"\xff", b"", b""]):
                assert outcome(decoder, parts) == outcome(Decoder(LIMITS), parts)


def test_what_is_refused_does_not_change_what_comes_after() -> None:
    decoder = Decoder(LIMITS)
    decoder(message(context="hatch"))
    with pytest.raises(WireError):
        decoder(message(context="x" * 999))
    with pytest.raises(WireError):
        decoder(message(context="hatch", seq=INT64_MAX))
    assert decoder(message(context="hatch", seq=8)).header.seq == 8


def outcome(decoder: Decoder, parts: list[Part]) -> object:
    try:
        return decoder(parts)
    except WireError as error:
        return error.reason
