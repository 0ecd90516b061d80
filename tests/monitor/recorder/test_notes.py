import numpy as np

from calibration.mewma import MewmaState
from monitor.recorder import notes
from monitor.recorder.notes import CONTEXTS_MOST, NOTES, NoteBook
from monitor.shared import Arrays, lay_out, size_of


def arrays_of(memories: int = 2, latent: int = 3) -> Arrays:
    fields = notes.fields(memories, latent)
    return lay_out(bytearray(size_of(fields)), fields)[0]


def state(value: float) -> MewmaState:
    return MewmaState(np.full((2, 3), value), int(value))


def test_the_latest_note_from_before_a_frame_is_found() -> None:
    arrays = arrays_of()
    book = NoteBook(arrays, 1280, 0)
    for position in range(0, 200, 5):
        book.keep(position, b"s", {b"hatch": state(position)})
    found = notes.before(arrays, 57)
    assert found is not None
    assert (found.position, found.stream) == (50, b"s"), "one in ten positions"
    assert found.remembered[b"hatch"].taken == 50
    assert (found.remembered[b"hatch"].memory == 50).all()


def test_there_is_none_from_before_the_ring() -> None:
    arrays = arrays_of()
    book = NoteBook(arrays, 128, 0)
    for position in range(1, 2 * NOTES):
        book.keep(position, b"s", {})
    assert notes.before(arrays, 200) is None
    assert notes.before(arrays, 300) is not None


def test_a_judge_that_begins_anew_remembers_nothing() -> None:
    arrays = arrays_of()
    NoteBook(arrays, 128, 0).keep(10, b"s", {b"": state(1)})
    NoteBook(arrays, 128, 20)
    found = notes.before(arrays, 25)
    assert found is not None
    assert (found.position, dict(found.remembered)) == (20, {})


def test_of_many_contexts_the_latest_known_are_kept() -> None:
    arrays = arrays_of()
    many = {f"{number}".encode(): state(number) for number in range(CONTEXTS_MOST + 3)}
    NoteBook(arrays, 128, 0).keep(10, b"s", many)
    found = notes.before(arrays, 10)
    assert found is not None
    assert list(found.remembered) == list(many)[-CONTEXTS_MOST:]


def test_without_a_chart_that_remembers_there_are_none() -> None:
    arrays = arrays_of(0, 3)
    assert notes.of_arrays(arrays, 128, 0) is None
    assert notes.before(arrays, 10) is None
