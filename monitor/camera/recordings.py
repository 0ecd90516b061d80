"""Recorded frames from disk: folders of images, TIFF, `.npy`, `.npz` and HDF5.

Every way in which a recording can be unusable ends in one `RecordingError`: one line that names the file and says
what to do. Nothing is unpickled, nothing is resized, and no frame is left out in silence.
"""

import itertools
import re
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from monitor.camera.tiff import read_tiff

if TYPE_CHECKING:
    from monitor.recorder.recording import Recorded

Frames = npt.NDArray[Any]

SHORTEST_SIDE_PX: Final = 16
LONGEST_SIDE_PX: Final = 4096
LONGEST_WHOLE_PX: Final = 576  # that a network can take; longer ones are judged as tiles

IMAGES: Final = frozenset({".bmp", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
TIFFS: Final = frozenset({".tif", ".tiff"})
HDF5: Final = frozenset({".h5", ".hdf5", ".hdf", ".he5", ".nxs", ".emd"})

CHUNK_BYTES: Final = 1 << 26
"""Memory-mapped frames are looked through in pieces of this size, so that they never have to fit into memory."""

_HDF5_PATH: Final = re.compile(rf"(.+\.(?:{'|'.join(s[1:] for s in sorted(HDF5))})):(/.*)", re.IGNORECASE)


class RecordingError(ValueError):
    """A recording that cannot be used: one line that names the file and says what to do."""


class Recording(NamedTuple):
    """One group of frames. *frames* is (n, h, w) of uint8, uint16 or float32; `.npy` files stay memory-mapped."""

    name: str  # the path as it was given
    frames: Frames
    context: str = ""  # of all its frames: which of several kinds of normal they show; empty: not stated
    layer: str = ""  # which one, of which job and stream, all its frames are of; empty: not stated
    recorded: "Recorded | None" = None  # what the daemon's recorder kept beside the frames; None: they are another's


def groups(paths: Iterable[str], by_context: Iterable[tuple[str, Sequence[str]]] = ()) -> list[Recording]:
    """Each of *paths* as one group; a folder that holds folders stands for them, in natural order of their names.

    *by_context* names a context and further paths, whose frames are of it. Raises RecordingError where a path is
    unreadable or given twice, or where frame sizes or types differ.
    """
    found: list[Recording] = []
    seen: dict[str, str] = {}
    given = itertools.chain([("", paths)], by_context)
    for context, path in ((context, path) for context, these in given for path in _expanded(these)):
        real = str(Path(path).resolve())
        if real in seen:
            raise RecordingError(f"{path}: is the same recording as {seen[real]}; give each group once")
        seen[real] = path
        recording = read(path)._replace(context=context)
        if found:
            _require_alike(found[0], recording)
        found.append(recording)
    return found


def read(path: str) -> Recording:
    """The frames behind *path*: a folder of images, a file, or `file.h5:/path`. Raises RecordingError."""
    try:
        recorded = _recorded(path)
        raw = _load(path) if recorded is None else recorded.frames
    except RecordingError:
        raise
    except Exception as error:  # decoders of damaged files raise whatever comes up, from OSError to KeyError
        raise RecordingError(f"{path}: cannot be read ({_one_line(error)}); check or replace the file") from error
    # The name goes into manifest and report, which are UTF-8; a file's name may be any bytes.
    name = path.encode("utf-8", "replace").decode()
    if recorded is not None:
        return Recording(name, raw, recorded=recorded)  # as they came, whatever a camera sends
    return Recording(name, _as_frames(path, raw))


def constant_frames(frames: Frames) -> list[int]:
    """Indices of those of *frames* (n, h, w) whose pixels are all equal: a covered or dead camera."""
    constant: list[int] = []
    for first, chunk in _chunks(frames):
        flat = chunk.reshape(len(chunk), -1)
        constant.extend((first + np.flatnonzero(flat.min(axis=1) == flat.max(axis=1))).tolist())
    return constant


def natural_key(name: str) -> list[tuple[int, str]]:
    """Sorts `frame_2` before `frame_10`: digits by value, the rest by letters."""
    pieces = re.findall(r"\d+|\D+", name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece.casefold()) for piece in pieces]


def _expanded(paths: Iterable[str]) -> Iterable[str]:
    return itertools.chain.from_iterable(map(_expand, paths))


def _expand(path: str) -> list[str]:
    folder = Path(path)
    if not folder.is_dir():
        return [path]
    inner = [entry for entry in _entries(folder) if entry.is_dir()]
    if not inner or any(_is_image(entry) for entry in _entries(folder)):
        return [path]  # `read` refuses the mixture of folders and images
    return [str(entry) for entry in inner]


def _entries(folder: Path) -> list[Path]:
    """What is in *folder*, in natural order, without hidden files."""
    visible = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(visible, key=lambda entry: (natural_key(entry.name), entry.name))


def _is_image(entry: Path) -> bool:
    return entry.suffix.lower() in IMAGES and entry.is_file()


def _load(path: str) -> Frames:
    """Whatever array stands behind *path*, not yet checked."""
    place = Path(path)
    if place.is_dir():
        return _folder(path)
    if not place.exists() and (inside := _HDF5_PATH.fullmatch(path)):
        return _hdf5(inside[1], inside[2])
    if not place.exists():
        raise RecordingError(f"{path}: does not exist; check the path")
    suffix = place.suffix.lower()
    if suffix == ".npy":
        return _npy(path)
    if suffix == ".npz":
        return _npz(path)
    if suffix in HDF5:
        return _hdf5(path, None)
    if suffix in IMAGES:
        return _image(path)
    kinds = "a folder of images, TIFF, .npy, .npz, HDF5 (file.h5:/path), BMP, PNG or JPEG"
    raise RecordingError(f"{path}: '{suffix}' is not a kind of recording that can be read; give {kinds}")


def _folder(path: str) -> Frames:
    entries = _entries(Path(path))
    images = [entry for entry in entries if _is_image(entry)]
    if not entries:
        raise RecordingError(f"{path}: is an empty folder; give a folder of images")
    if not images:
        hint = "; name each file itself" if any(e.suffix.lower() in {".npy", ".npz", *HDF5} for e in entries) else ""
        raise RecordingError(f"{path}: holds no BMP, PNG, JPEG or TIFF images{hint or '; give a folder of images'}")
    if any(entry.is_dir() for entry in entries):
        raise RecordingError(f"{path}: holds both images and folders; name the folders that are to be read")
    pieces = [_as_frames(str(entry), _read_one(str(entry))) for entry in images]
    for entry, piece in zip(images, pieces, strict=True):
        _require_alike(Recording(str(images[0]), pieces[0]), Recording(str(entry), piece))
    return np.concatenate(pieces)


def _read_one(path: str) -> Frames:
    """The pixels of one image file. Raises RecordingError that names the file, not its folder."""
    try:
        return _image(path)
    except RecordingError:
        raise
    except Exception as error:  # as in `read`
        raise RecordingError(f"{path}: cannot be read ({_one_line(error)}); replace or remove it") from error


def _image(path: str) -> Frames:
    """An image file -> (n, h, w) or (h, w). Grey stays as it is; colour only where all channels agree."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # Pillow only warns of damaged headers and of images of absurd size
        if Path(path).suffix.lower() in TIFFS:
            return _grey(path, read_tiff(path))
        with Image.open(path) as image:
            if getattr(image, "n_frames", 1) > 1:
                raise RecordingError(f"{path}: is an animation; save its frames as single images or as TIFF")
            _require_sides(path, image.height, image.width)
            # A palette says nothing about grey by itself; its colours do.
            return _grey(path, np.asarray(image.convert("RGBA") if image.mode in {"P", "PA", "LA"} else image))


def _grey(path: str, pixels: Frames) -> Frames:
    """*pixels* (n, h, w) or (h, w), or with a last axis of 2 to 4 equal channels, which is then dropped."""
    if pixels.ndim < 3 or pixels.shape[-1] not in {2, 3, 4}:
        return pixels
    channels = pixels.shape[-1]
    if channels in {2, 4}:
        opaque = pixels[..., -1] == pixels[..., -1].max(initial=0)
        if not opaque.all():
            raise RecordingError(f"{path}: has transparent pixels; save it as a plain grey image")
    colours = pixels[..., : 1 if channels == 2 else 3]
    if (colours != colours[..., :1]).any():
        raise RecordingError(f"{path}: is a colour image; convert it to grey, as the camera's frames will be")
    return colours[..., 0]


def _npy(path: str) -> Frames:
    try:
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except ValueError as error:
        _refuse_pickle(path, error)
        if _npy_is_empty(path):
            raise RecordingError(f"{path}: holds no pixels; record at least one frame") from error
        raise


def _npy_is_empty(path: str) -> bool:
    """Whether a well-formed file has a side of length zero, which cannot be memory-mapped."""
    try:
        return bool(np.load(path, allow_pickle=False).size == 0)
    except (ValueError, OSError, EOFError):
        return False


def _npz(path: str) -> Frames:
    # numpy leaves a damaged archive open when it opens the file itself.
    with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as archive:
        if not archive.files:
            raise RecordingError(f"{path}: holds no arrays; save the frames with np.savez")
        pieces: list[Recording] = []
        for key in archive.files:
            name = f"{path} (array '{key}')"
            try:
                pieces.append(Recording(name, _as_frames(name, archive[key])))
            except ValueError as error:
                _refuse_pickle(name, error)
                raise
            _require_alike(pieces[0], pieces[-1])
    return pieces[0].frames if len(pieces) == 1 else np.concatenate([piece.frames for piece in pieces])


def _refuse_pickle(path: str, error: ValueError) -> None:
    if re.search(r"pickle|python objects", str(error), re.IGNORECASE):
        raise RecordingError(
            f"{path}: holds pickled Python objects, which are never loaded; save plain numbers with np.save"
        ) from error


def _hdf5(path: str, inside: str | None) -> Frames:
    if not Path(path).exists():
        raise RecordingError(f"{path}: does not exist; check the path")
    # Imported here because it takes longer than everything else in this module, and few recordings need it.
    import h5py
    import hdf5plugin  # noqa: F401 - registers the compression filters of detectors

    with h5py.File(path, "r") as file:
        if inside is None:
            inside = _only_dataset(path, file)
        if not isinstance(file.get(inside), h5py.Dataset):
            raise RecordingError(f"{path}: has no dataset '{inside}'; it has {_listed(_datasets(file))}")
        return np.asarray(file[inside][()])


def _recorded(path: str) -> "Recorded | None":
    """The recording of an event that the daemon has written to *path*; None of any other file."""
    if Path(path).suffix.lower() not in HDF5 or not Path(path).is_file():
        return None
    from monitor.recorder import recording

    return recording.read(Path(path)) if recording.is_recording(Path(path)) else None


def _only_dataset(path: str, file: Any) -> str:
    stacks = [name for name, ndim in _datasets(file).items() if ndim == 3]
    if len(stacks) != 1:
        found = f"{len(stacks)} three-dimensional datasets" if stacks else "no three-dimensional dataset"
        known = _listed(stacks or _datasets(file))
        raise RecordingError(f"{path}: has {found}; name one as {path}:/path (it has {known})")
    return stacks[0]


def _datasets(file: Any) -> dict[str, int]:
    """Path -> number of dimensions of every dataset in an open HDF5 *file*."""
    found: dict[str, int] = {}

    def visit(name: str, item: Any) -> None:
        if hasattr(item, "ndim"):
            found[f"/{name}"] = item.ndim

    file.visititems(visit)
    return found


def _listed(names: Iterable[str], most: int = 5) -> str:
    known = list(names)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return (", ".join(known[:most]) or "no dataset at all") + more


def _as_frames(path: str, raw: Frames) -> Frames:
    """*raw* as (n, h, w) of uint8, uint16 or float32, every value finite and unchanged. Raises RecordingError."""
    if raw.ndim not in {2, 3}:
        raise RecordingError(
            f"{path}: has {raw.ndim} dimensions {raw.shape}; give frames as (n, h, w), or one as (h, w)"
        )
    if raw.size == 0:
        raise RecordingError(f"{path}: holds no pixels (shape {raw.shape}); record at least one frame")
    frames = raw if raw.ndim == 3 else raw[None]
    _require_sides(path, *frames.shape[1:])
    return _as_pixels(path, frames)


def _as_pixels(path: str, frames: Frames) -> Frames:
    dtype = frames.dtype
    if dtype == np.bool_:
        return frames.astype(np.uint8)
    if dtype.kind in "iu":
        if dtype in (np.uint8, np.uint16) and dtype.isnative:
            return frames
        if int(frames.min()) < 0 or int(frames.max()) > 65535:
            raise RecordingError(f"{path}: {dtype} values go beyond 0 to 65535; scale them to uint16 or float32")
        return frames.astype(np.uint16)
    if dtype.kind != "f":
        raise RecordingError(f"{path}: holds {dtype} values; save uint8, uint16 or float32")
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
        pixels = frames if dtype == np.float32 and dtype.isnative else frames.astype(np.float32)
    for first, chunk in _chunks(pixels):
        finite = np.isfinite(chunk).reshape(len(chunk), -1).all(axis=1)
        if not finite.all():
            number = first + int(np.argmin(finite))
            raise RecordingError(
                f"{path}: frame {number} (counted from 0) holds NaN or infinite pixels; leave it out or mend it"
            )
    return pixels


def _chunks(frames: Frames) -> Iterable[tuple[int, Frames]]:
    step = max(CHUNK_BYTES // max(frames[0].nbytes, 1), 1) if len(frames) else 1
    return ((first, frames[first : first + step]) for first in range(0, len(frames), step))


def _require_sides(path: str, height: int, width: int) -> None:
    if min(height, width) < SHORTEST_SIDE_PX or max(height, width) > LONGEST_SIDE_PX:
        raise RecordingError(
            f"{path}: frames of {height}x{width} pixels; each side must be {SHORTEST_SIDE_PX} to "
            f"{LONGEST_SIDE_PX}: crop or bin them"
        )


def _require_alike(first: Recording, other: Recording) -> None:
    """Refuses frames of another size or type than those of *first*, naming both."""
    if first.frames.shape[1:] != other.frames.shape[1:] or first.frames.dtype != other.frames.dtype:
        raise RecordingError(
            f"{other.name}: frames are {_kind(other.frames)}, those of {first.name} are {_kind(first.frames)}; "
            "all must be of one size and type"
        )


def _kind(frames: Frames) -> str:
    return f"{frames.shape[1]}x{frames.shape[2]} {frames.dtype}"


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
