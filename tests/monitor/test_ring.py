"""The ring: what is written comes back, and a slow reader never takes a torn frame for a whole one."""

import subprocess
import sys
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor import ring as ring_module
from monitor.ring import RECORD, Codes, FrameBatch, Ring, text
from monitor.shared import attach, create, lay_out, size_of
from monitor.types import Message, PixelType, Unjudged
from monitor.wire.native import PLACE, WireLimits, decode, encode

SLOTS, HEIGHT, WIDTH = 5, 2, 3


def new_ring(slots: int = SLOTS, dtype: PixelType = "uint8") -> Ring:
    fields = Ring.fields(slots, HEIGHT, WIDTH, dtype)
    (arrays,) = lay_out(bytearray(size_of(fields)), fields)
    return Ring(arrays)


def message(seq: int, count: int, dtype: PixelType = "uint8", **options: Any) -> Message:
    """Frames whose every pixel is their own sequence number."""
    numbers = np.arange(seq, seq + count).astype(dtype)
    pixels = np.broadcast_to(numbers[:, None, None], (count, HEIGHT, WIDTH))
    return decode(encode("cam", "s", seq, 1000 * seq, pixels, **options), WireLimits())


def write(ring: Ring, seq: int, count: int, codes: Codes = 0, **options: Any) -> tuple[int, int]:
    return ring.write(message(seq, count, **options), 0, count, codes, 77)


def test_the_record_is_written_in_one_piece_as_numpy_reads_it() -> None:
    assert ring_module._PACK.size == RECORD.itemsize
    assert RECORD.itemsize % 8 == 0


def test_who_reads_every_frame_gets_the_same_in_fewer_pieces() -> None:
    ring = new_ring()
    lo, hi = write(ring, 40, 4, 3, dt_ns=10, context="c", job="j", layer=9, xy=(1.5, 2.5))
    batch = ring.view(lo, hi)
    for value, name in enumerate(ring_module.SCORES):
        getattr(batch, name)[:] = value
    batch.judged_ns[:], batch.fault[:] = 78, 2
    found = ring.follow(lo, hi)
    for row, name in enumerate(ring_module.NUMBERS):
        assert found.numbers[row].tolist() == getattr(batch, name).tolist(), name
    for row, name in enumerate(ring_module.SCORES):
        assert found.scores[row].tolist() == getattr(batch, name).tolist() == [row] * 4, name
    assert found.xy[:, 0].tolist() == [1.5, 2.5]
    for name in ("job", "context", "unjudged", "fault"):
        assert getattr(found, name).tolist() == getattr(batch, name).tolist(), name


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_what_is_written_can_be_read(dtype: PixelType) -> None:
    ring = new_ring(dtype=dtype)
    sent = message(40, 3, dtype, dt_ns=10, context="häutung", job="j", layer=9, xy=(1.5, 2.5))
    lo, hi = ring.write(sent, 0, 3, 0, 77)
    batch = ring.view(lo, hi)
    assert (lo, hi, ring.written) == (0, 3, 3)
    assert batch.pixels.dtype == dtype
    assert batch.pixels[:, 1, 2].tolist() == [40, 41, 42]
    assert batch.seq.tolist() == [40, 41, 42]
    assert batch.t_ns.tolist() == [40_000, 40_010, 40_020]
    assert batch.received_ns.tolist() == [77] * 3
    assert batch.judged_ns.tolist() == [0] * 3
    assert [text(name) for name in batch.context] == ["häutung"] * 3
    assert [text(name) for name in batch.stream] == ["s"] * 3
    assert [text(name) for name in batch.job] == ["j"] * 3
    assert batch.layer.tolist() == [9] * 3
    assert batch.active.tolist() == [1] * 3
    assert batch.unjudged.tolist() == batch.fault.tolist() == [0] * 3


def test_a_header_places_its_first_frame_only() -> None:
    ring = new_ring()
    write(ring, 0, 3, xy=(1.5, 2.5))
    xy = ring.view(0, 3).xy
    assert xy[0].tolist() == [1.5, 2.5]
    assert np.isnan(xy[1:]).all()


def test_records_place_every_frame_and_say_which_are_active() -> None:
    ring, places = new_ring(), np.zeros(3, PLACE)
    places["x"], places["y"], places["active"] = [1, 2, 3], [4, 5, 6], [1, 0, 2]
    write(ring, 0, 3, places=places, xy=(9.0, 9.0))
    assert ring.view(0, 3).xy.tolist() == [[1, 4], [2, 5], [3, 6]]
    assert ring.view(0, 3).active.tolist() == [1, 0, 1]


def test_nothing_is_left_of_the_frame_that_was_in_the_slot_before() -> None:
    ring = new_ring()
    write(ring, 0, SLOTS, context="before", job="before", layer=3, xy=(1.0, 1.0))
    batch = ring.view(0, SLOTS)
    for left in (batch.t2, batch.s2, batch.offset, batch.local, batch.joint, batch.where, batch.fault, batch.judged_ns):
        left[:] = 1
    write(ring, SLOTS, SLOTS)
    batch = ring.view(SLOTS, 2 * SLOTS)
    for scores in (batch.t2, batch.s2, batch.offset, batch.local, batch.joint, batch.xy):
        assert np.isnan(scores).all()
    assert (batch.where == -1).all()
    assert not batch.fault.any()
    assert not batch.judged_ns.any()
    assert set(batch.context.tolist()) == set(batch.job.tolist()) == {b""}
    assert batch.layer.tolist() == [-1] * SLOTS


def test_scores_written_through_one_view_are_seen_through_another() -> None:
    ring = new_ring()
    write(ring, 0, 3)
    ring.view(0, 3).t2[:] = [1, 2, 3]
    ring.view(1, 2).where[0] = [1, 2]
    assert ring.view(2, 3).t2[0] == 3
    assert ring.view(0, 3).where.tolist() == [[-1, -1], [1, 2], [-1, -1]]


def test_a_part_of_a_message_may_be_written_with_a_code_a_frame() -> None:
    ring = new_ring()
    codes = np.array([9, 9, Unjudged.INACTIVE, 0], np.uint8)
    assert ring.write(message(10, 4, dt_ns=5, xy=(1.0, 1.0)), 2, 2, codes, 77) == (0, 2)
    batch = ring.view(0, 2)
    assert batch.seq.tolist() == [12, 13]
    assert batch.t_ns.tolist() == [10_010, 10_015]
    assert batch.unjudged.tolist() == [Unjudged.INACTIVE, 0]
    assert batch.pixels[:, 0, 0].tolist() == [12, 13]
    assert np.isnan(batch.xy).all()


def test_a_message_that_wraps_around_lies_in_two_pieces() -> None:
    ring = new_ring()
    write(ring, 0, 3)
    lo, hi = write(ring, 3, 4, np.arange(4, dtype=np.uint8))
    assert (lo, hi, ring.until_wrap(lo, hi)) == (3, 7, 5)
    with pytest.raises(ValueError, match="one piece"):
        ring.view(lo, hi)
    assert ring.view(3, 5).seq.tolist() == [3, 4]
    assert ring.view(5, 7).seq.tolist() == [5, 6]
    assert ring.view(5, 7).pixels[:, 0, 0].tolist() == [5, 6]
    assert ring.view(5, 7).unjudged.tolist() == [2, 3]


def test_of_a_message_larger_than_the_ring_the_newest_frames_stay() -> None:
    ring = new_ring()
    write(ring, 0, 2)
    lo, hi = write(ring, 10, SLOTS + 3)
    assert (lo, hi) == (2, 2 + SLOTS)
    seqs = [ring.view(position, position + 1).seq[0] for position in range(lo, hi)]
    assert seqs == [13, 14, 15, 16, 17]


def test_a_large_message_is_copied_as_a_small_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "GIL_FREE_COPY_BYTES", 0)
    ring = new_ring(dtype="uint16")
    write(ring, 300, 3, dtype="uint16")
    assert ring.view(0, 3).pixels[:, 1, 1].tolist() == [300, 301, 302]


@pytest.mark.parametrize(("lo", "hi"), [(0, 4), (-1, 1), (2, 1)])
def test_positions_that_were_never_written_cannot_be_viewed(lo: int, hi: int) -> None:
    ring = new_ring()
    write(ring, 0, 3)
    with pytest.raises(ValueError, match="one piece"):
        ring.view(lo, hi)


def test_slots_are_readable_until_they_are_about_to_be_overwritten() -> None:
    ring = new_ring()
    write(ring, 0, SLOTS)
    assert ring.intact(0)
    lo, hi = ring.reserve(2)
    assert (ring.intact(1), ring.intact(2), ring.oldest_intact(), ring.written) == (False, True, 2, SLOTS)
    ring.fill(lo, message(SLOTS, 2), 0, 2, 0, 77)
    ring.commit(hi)
    assert (ring.oldest_intact(), ring.written) == (2, SLOTS + 2)


def test_slots_that_a_dead_writer_had_begun_stay_unreadable() -> None:
    fields = Ring.fields(SLOTS, HEIGHT, WIDTH, "uint8")
    (arrays,) = lay_out(bytearray(size_of(fields)), fields)
    first = Ring(arrays)
    write(first, 0, SLOTS)
    first.reserve(4)
    second = Ring(arrays)
    assert write(second, 50, 1) == (SLOTS, SLOTS + 1)
    assert not second.intact(3)
    assert second.intact(4)


@given(st.data())
def test_a_slow_reader_never_takes_a_torn_frame_for_a_whole_one(data: st.DataObject) -> None:
    """Writer and reader take turns at every step that they have: reserve, each frame, commit; each slot, check."""
    ring = new_ring()
    write(ring, 0, 4)

    def writing() -> Any:
        while True:
            count = data.draw(st.integers(1, SLOTS))
            lo, hi = ring.reserve(count)
            yield
            for position in range(lo, hi):
                ring.fill(position, message(position % 250, 1), 0, 1, 0, 77)
                yield
            ring.commit(hi)
            yield

    def reading() -> Any:
        while True:
            hi = ring.written
            lo = max(0, hi - data.draw(st.integers(1, SLOTS)))
            lo = max(lo, hi - (hi - 1) % SLOTS - 1)  # one piece
            batch, copied = ring.view(lo, hi), []
            for frame in range(hi - lo):
                yield
                copied.append((batch.pixels[frame].copy(), int(batch.seq[frame])))
            yield
            for position in range(lo, hi):
                if ring.intact(position):
                    pixels, seq = copied[position - lo]
                    assert seq == position % 250
                    assert (pixels == seq).all()

    turns = {True: writing(), False: reading()}
    for writers_turn in data.draw(st.lists(st.booleans(), max_size=60)):
        next(turns[writers_turn])


READER = """
import sys
import numpy as np
from monitor.ring import Ring
from monitor.shared import attach

fd, slots, rounds = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
(arrays,) = attach(fd, Ring.fields(slots, 64, 64, "uint8"))
ring, whole, torn = Ring(arrays), 0, 0
for _ in range(rounds):
    hi = ring.written
    lo = max(0, hi - slots)
    hi = ring.until_wrap(lo, hi)
    batch = ring.view(lo, hi)
    pixels, seq = batch.pixels.copy(), batch.seq.copy()
    kept = max(0, min(ring.oldest_intact() - lo, hi - lo))
    torn += kept
    whole += hi - lo - kept
    wanted = np.arange(lo, hi)[kept:]
    if (seq[kept:] != wanted).any() or (pixels[kept:] != (wanted % 251)[:, None, None]).any():
        sys.exit("a torn frame passed for a whole one")
sys.stdout.write(f"{whole} {torn}")
"""


def test_a_reader_in_another_process_never_takes_a_torn_frame_for_a_whole_one() -> None:
    slots, rounds = 8, 3000
    most_frames = 5_000_000  # only keeps a reader that hangs from hanging the test
    fields = Ring.fields(slots, 64, 64, "uint8")
    fd = create(size_of(fields))
    (arrays,) = attach(fd, fields)
    ring = Ring(arrays)
    frames = [decode(encode("c", "s", n, 0, np.full((64, 64), n, np.uint8)), WireLimits()) for n in range(251)]
    command = [sys.executable, "-c", READER, str(fd), str(slots), str(rounds)]
    for position in range(slots):
        ring.write(frames[position], 0, 1, 0, 0)
    with subprocess.Popen(command, pass_fds=[fd], stdout=subprocess.PIPE, text=True) as reader:
        position = ring.written
        while position < most_frames and reader.poll() is None:
            lo, hi = ring.reserve(1)
            sent = frames[position % 251]
            header = msgspec.structs.replace(sent.header, seq=position)
            ring.fill(lo, sent._replace(header=header), 0, 1, 0, 0)
            ring.commit(hi)
            position = hi
        output, _ = reader.communicate(timeout=20)
    assert reader.returncode == 0
    whole, torn = map(int, output.split())
    assert whole > 0
    assert whole + torn >= rounds


def test_a_view_keeps_the_names_of_the_fields() -> None:
    ring = new_ring()
    write(ring, 0, 1)
    batch = ring.view(0, 1)
    assert isinstance(batch, FrameBatch)
    assert batch._fields[1:] == tuple(name for name in FrameBatch._fields if name in (RECORD.names or ()))
