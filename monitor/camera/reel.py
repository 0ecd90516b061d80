"""A film given out in as many frames as are asked for, however it is made: every simulated camera's `shots`."""

from collections.abc import Callable, Iterator

from monitor.camera.publisher import Shot
from monitor.camera.schedule import Truth

Piece = tuple[Shot, tuple[Truth, ...]]
"""A shot, and the truth about the anomalies whose last frame is in it or before it and was not told yet."""


class Reel:
    """Shows the film that *made* goes on with, piece by piece, without end.

    Pieces are made whole, whatever is asked for, since random numbers are drawn a piece at a time: so the frames and
    the truths of a film are the same, however it is cut. *begun* says which anomaly that no piece has told yet has
    begun before a frame, if any.
    """

    def __init__(self, made: Iterator[Piece], begun: Callable[[int], Truth | None]) -> None:
        self._made, self._begun = made, begun
        self._rest: Piece | None = None  # of a piece that was cut
        self._shown = 0  # frames, ever

    def shots(self, frames: int | None = None) -> Iterator[Piece]:
        """The next *frames* frames (None: without end), each truth with the shot that holds its last frame.

        An anomaly that a pause cuts short is known to be over only with the first shot of the pause, and told there.
        """
        end = None if frames is None else self._shown + frames
        while end is None or self._shown < end:
            shot, truths = self._rest or next(self._made)
            left = len(shot.pixels)
            count = left if end is None else min(left, end - self._shown)
            self._shown += count
            told = tuple(truth for truth in truths if truth.last_seq < self._shown)
            kept = tuple(truth for truth in truths if truth.last_seq >= self._shown)
            self._rest = (_after(shot, count), kept) if count < left else None
            yield _before(shot, count), told

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the last frame shown: as long as it would have lasted."""
        kept = () if self._rest is None else self._rest[1]
        return next((truth for truth in kept if truth.first_seq < self._shown), None) or self._begun(self._shown)


class Filmed:
    """A camera that gives its film out from a reel. Frames count from 0 at the first shot ever."""

    _reel: Reel

    def shots(self, frames: int | None = None) -> Iterator[Piece]:
        """The next *frames* frames (None: without end), with the anomalies that end in each shot."""
        return self._reel.shots(frames)

    @property
    def unfinished(self) -> Truth | None:
        """The anomaly that was going on at the end of the last shot: as long as it would have lasted."""
        return self._reel.unfinished


def _before(shot: Shot, count: int) -> Shot:
    """Its first *count* frames."""
    return shot._replace(pixels=shot.pixels[:count], xy=None if shot.xy is None else shot.xy[:count])


def _after(shot: Shot, count: int) -> Shot:
    """The others: the pause before the shot is over by then."""
    rest = shot._replace(pixels=shot.pixels[count:], xy=None if shot.xy is None else shot.xy[count:])
    return rest._replace(pause_s=0.0)
