"""What is recorded of events: the section `recorder` of the configuration, every key with what it means."""

from pathlib import Path
from typing import Annotated

import msgspec

NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Frames = Annotated[int, msgspec.Meta(ge=0)]
Mib = Annotated[float, msgspec.Meta(ge=0, le=2**24)]


class Recorder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which frames around each event are kept, where, and how many bytes of them."""

    mib: Mib = 1024.0
    """Most bytes of recordings, in MiB: the oldest that nobody has pinned go first. 0: nothing is recorded."""
    folder: str | None = None
    """Where recordings lie; without it `<journal>.recordings`, beside the journal."""
    before_s: NotNegative = 0.5
    """Seconds of frames before an event, counted by `input.rate_hz`; the ring (`input.buffer_s`) must hold more."""
    after_s: NotNegative = 0.5
    """... and after its last frame over a limit."""
    before_frames: Frames | None = None
    """Frames before an event, in place of seconds."""
    after_frames: Frames | None = None
    """... and after it."""
    longest_s: Annotated[float, msgspec.Meta(gt=0)] = 5.0
    """Of events that go on for longer: the beginning, so long, and what lies around the peak and the end."""
    memory_mib: Annotated[float, msgspec.Meta(ge=1, le=2**20)] = 256.0
    """Frames that wait in memory until they are written, in MiB; an event that finds no room is counted, not kept."""
    archive: bool = False
    """true: scores and latents of all frames too, one Parquet file a job."""
    archive_mib: Mib = 4096.0
    """Most bytes of those, in MiB: the oldest go first."""
    archive_rows: Annotated[int, msgspec.Meta(ge=1000, le=2**31)] = 10_000_000
    """Frames after which a job goes on in another file."""
    archive_s: Annotated[float, msgspec.Meta(ge=1, le=604_800)] = 3600.0
    """... and seconds."""

    @property
    def on(self) -> bool:
        """Whether anything is to be recorded at all."""
        return self.mib > 0 or self.archive

    def frames_before(self, rate_hz: float) -> int:
        """Frames that are kept from before an event."""
        return round(self.before_s * rate_hz) if self.before_frames is None else self.before_frames

    def frames_after(self, rate_hz: float) -> int:
        """Frames that are kept from after one."""
        return round(self.after_s * rate_hz) if self.after_frames is None else self.after_frames

    def beside(self, folder: Path) -> "Recorder":
        """The same with its folder, where one is named, taken from *folder*."""
        return self if self.folder is None else msgspec.structs.replace(self, folder=str(folder / self.folder))

    def place(self, journal: str) -> Path:
        """The folder of recordings of a daemon with this *journal*."""
        return Path(self.folder or f"{journal}.recordings")
