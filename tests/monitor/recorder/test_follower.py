from recorder_example import EXTENT, Film, failed, seqs

from monitor.recorder.take import LEFT_OUT, NO_ROOM, NOT_IN_RING, OVERWRITTEN, gaps


def test_frames_before_and_after_an_event_are_kept_each_once() -> None:
    film = Film()
    film.show(50)
    first = film.show(4, over=True)
    film.tell("began", first, first + 2)
    assert film.turn() == []
    film.show(30)
    film.tell("ended", first, first + 3)
    (take,) = film.turn()
    assert seqs(take) == list(range(50 - EXTENT.before, 54 + EXTENT.after))
    assert take.missing() == []


def test_it_grows_with_the_frames_that_are_over_before_any_record_says_so() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.turn()
    for _ in range(10):
        film.show(4)
        film.show(1, over=True)
        film.turn()
    film.show(30)
    film.tell("ended", first, film.ring.written - 31)
    (take,) = film.turn()
    assert seqs(take) == list(range(10, 73 + EXTENT.after))


def test_events_whose_windows_overlap_share_a_recording_and_a_later_one_has_its_own() -> None:
    film = Film()
    film.show(20)
    one = film.show(2, over=True)
    film.tell("began", one, one + 1, event=1)
    film.tell("ended", one, one + 1, event=1)
    film.show(8)
    two = film.show(2, over=True)
    film.tell("began", two, two + 1, event=2)
    film.turn()
    film.show(40)
    film.tell("ended", two, two + 1, event=2)
    (both,) = film.turn()
    assert list(both.episodes) == [("hot-1", 1), ("hot-1", 2)]
    three = film.show(2, over=True)
    film.tell("began", three, three + 1, event=3)
    film.tell("ended", three, three + 1, event=3)
    film.show(20)
    (alone,) = film.turn()
    assert list(alone.episodes) == [("hot-1", 3)]
    assert not set(seqs(both)) & set(seqs(alone))


def test_an_event_right_after_a_recording_repeats_none_of_its_frames() -> None:
    film = Film(EXTENT._replace(longest=30))
    film.show(20)
    one = film.show(40, over=True)
    film.tell("began", one, one + 39, event=1)
    film.turn()
    two = film.show(2, over=True)
    film.tell("began", two, two + 1, event=2)
    film.tell("ended", one, one + 39, event=1)
    film.tell("ended", two, two + 1, event=2)
    film.show(30)
    done = film.turn()
    kept = [seq for take in done for seq in seqs(take)]
    assert len(done) == 2
    assert len(kept) == len(set(kept))


def test_of_a_long_event_the_beginning_and_the_frames_around_peak_and_end_are_kept() -> None:
    film = Film(EXTENT._replace(longest=40), slots=512)
    film.show(20)
    first = film.show(100, over=True)
    film.tell("began", first, first + 50, peak=first)
    film.turn()
    film.tell("grew", first, first + 99, peak=first + 80, ratio=5.0)
    film.show(80, over=True)
    film.turn()
    film.tell("ended", first, first + 179, peak=first + 80, ratio=5.0)
    film.show(30)
    (take,) = film.turn()
    head, peak, end = range(10, 50), range(100 - 10, 100 + 6), range(199 - 10, 199 + 6)
    assert seqs(take) == [*head, *peak, *end]
    left_out = [one for one in take.missing() if one.why == LEFT_OUT]
    assert [(one.lo, one.hi) for one in left_out] == [(50, 90), (106, 189)]


def test_frames_are_kept_once_they_are_judged_with_their_scores() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.tell("ended", first, first + 2)
    waiting = film.show(20, judged=False)
    assert film.turn() == []
    film.judge(waiting, waiting + 20)
    (take,) = film.turn()
    assert (take.head.beside()[1]["judged_ns"] > 0).all()


def test_frames_that_are_never_judged_are_kept_before_the_ring_overwrites_them() -> None:
    film = Film(slots=64)
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.tell("ended", first, first + 2)
    film.turn()
    film.show(55, judged=False)
    (take,) = film.turn()
    assert seqs(take) == list(range(10, 28))


def test_what_the_ring_has_overwritten_is_told_and_what_is_there_is_kept() -> None:
    film = Film(slots=64)
    film.show(40)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.tell("ended", first, first + 2)
    film.show(55)
    (take,) = film.turn()
    assert seqs(take) == list(range(34, 48))
    positions, records, _ = take.head.beside()
    assert [(one.lo, one.hi, one.why) for one in take.missing()] == [(30, 34, OVERWRITTEN)]
    (gap,) = gaps(positions, records, take.missing())
    assert (gap.first_seq, gap.last_seq, gap.before, gap.why) == (30, 33, 0, OVERWRITTEN)


def test_an_event_of_which_nothing_is_left_is_counted() -> None:
    film = Film(slots=64)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.show(200)
    assert film.turn() == []
    assert failed(film.counts) == {"overwritten": 1}


def test_frames_lost_upstream_are_gaps() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.tell("ended", first, first + 2)
    film.show(2)
    film.show(20, skip=7)
    (take,) = film.turn()
    positions, records, _ = take.head.beside()
    (gap,) = gaps(positions, records, take.missing())
    assert (gap.stream, gap.first_seq, gap.last_seq, gap.why) == ("s", 25, 31, NOT_IN_RING)
    assert records["seq"][gap.before] == 32


def test_without_room_in_memory_what_fits_is_kept_and_the_newest_events_are_counted() -> None:
    film = Film(EXTENT._replace(memory=2**20, longest=8000), slots=8192)
    film.show(20)
    first = film.show(2500, over=True)
    film.tell("began", first, first + 2)
    film.turn()
    film.show(2500, over=True)
    done = film.turn()
    assert [take.nbytes for take in done] == [2**20]
    assert done[0].frames == 4096
    assert {one.why for one in done[0].missing()} == {NO_ROOM}
    film.show(30)
    again = film.show(3, over=True)
    film.tell("began", again, again + 2, event=3)
    assert film.turn(writing=2**20) == []
    assert failed(film.counts) == {NO_ROOM: 1}


def test_a_camera_fault_is_found_by_its_number() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2, source="dark", position=-1)
    film.tell("ended", first, first + 2, source="dark", position=-1)
    film.show(20)
    (take,) = film.turn()
    assert seqs(take) == list(range(10, 28))


def test_what_speaks_of_layers_or_of_the_service_is_not_recorded() -> None:
    film = Film()
    first = film.show(20, over=True)
    for event, source in enumerate(("exceedance_rate", "blind", "degraded")):
        film.tell("began", first, first + 2, event=event, source=source)
    assert film.turn(last=True) == []


def test_when_the_camera_pauses_nothing_is_waited_for() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.tell("ended", first, first + 2)
    film.show(2)
    assert film.turn() == []
    (take,) = film.turn(later_s=1.1)
    assert seqs(take) == list(range(10, 25))


def test_an_event_that_stays_open_is_written_after_a_while_and_goes_on_in_another_recording() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.show(20)
    assert film.turn() == []
    (one,) = film.turn(later_s=11.0)
    later = film.show(3, over=True)
    film.tell("grew", first, later + 2, peak=later)
    film.tell("ended", first, later + 2, peak=later)
    film.show(20)
    (two,) = film.turn()
    assert list(one.episodes) == list(two.episodes) == [("hot-1", 1)]
    assert seqs(one) == list(range(10, 28))
    assert seqs(two)[-1] == 45 + EXTENT.after
    assert not set(seqs(one)) & set(seqs(two))


def test_a_process_that_died_ends_its_events() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.show(20)
    film.turn()
    other = film.show(2, over=True)
    film.tell("began", other, other + 1, epoch="hot-2")
    film.show(3)
    (take,) = film.turn()
    assert list(take.episodes) == [("hot-1", 1)]


def test_its_cursor_stays_before_the_events_that_are_not_whole() -> None:
    film = Film()
    film.show(20)
    first = film.show(3, over=True)
    film.tell("began", first, first + 2)
    film.turn()
    assert film.follower.cursor == 0
    film.tell("ended", first, first + 2)
    film.show(20)
    assert len(film.turn()) == 1
    assert film.follower.cursor == 2


def test_its_cursor_stays_at_the_first_record_of_an_event_that_is_not_settled_however_many_came_before() -> None:
    film = Film()
    for event in (1, 2, 3):
        film.show(40)
        first = film.show(3, over=True)
        film.tell("began", first, first + 2, event)
        if event < 3:
            film.tell("ended", first, first + 2, event)
    film.show(20)
    assert [list(take.episodes) for take in film.turn()] == [[("hot-1", 1)], [("hot-1", 2)]]
    assert film.follower.cursor == 4


def test_of_events_told_at_once_each_finds_the_window_that_the_one_before_has_extended() -> None:
    film = Film()
    film.show(100)
    film.show(2, over=True)
    film.show(10)
    film.show(2, over=True)
    film.show(12)
    film.show(2, over=True)
    film.show(30)
    for event, first in ((1, 100), (2, 112), (3, 126)):  # of three only neighbours overlap
        for phase in ("began", "ended"):
            film.tell(phase, first, first + 1, event)
    (take,) = film.turn()
    assert [event for _, event in take.episodes] == [1, 2, 3]
    assert seqs(take) == list(range(90, 133))
