"""An embedding in a file: safetensors with what it is, and of which frames, in its head. No pickle.

Points of another embedding, or by another bundle, mean something else: `space` says which they are.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec
import numpy.typing as npt
import safetensors
import safetensors.numpy

if TYPE_CHECKING:
    from models.embeddings import Embedding

FORMAT: Final = 1
KEY: Final = "framewatch_embedding"  # of the head

Tensors = dict[str, npt.NDArray[Any]]


class EmbeddingError(ValueError):
    """A file that holds no embedding that can be used here: one line that names it and says why."""


class About(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the head says."""

    what: str
    height: int  # of the frames that it is for
    width: int
    dtype: str
    frames: int  # that it was learned from; 0: none
    bundle: str  # sha256 of the one whose residuals they were
    t_ns: int  # Unix nanoseconds, when it was learned
    plain: dict[str, Any] = {}
    tensors: str = ""  # sha256 of them all: what has changed since it was written is damaged
    format: int = FORMAT


class Held(NamedTuple):
    """A file that was read."""

    about: About
    sha256: str  # of the file
    embedding: "Embedding"


def write(path: Path, about: About, embedding: "Embedding") -> None:
    """Write *embedding* to *path*, whole or not at all. Raises OSError, which names *path*."""
    tensors = embedding.tensors
    said = msgspec.structs.replace(about, what=embedding.what, plain=dict(embedding.plain), tensors=_digest(tensors))
    data = safetensors.numpy.save(tensors, {KEY: msgspec.json.encode(said).decode()})
    try:
        _replace(path, data)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


def _replace(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).chmod(0o644)
        Path(scratch).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(scratch).unlink()
        raise


def about(path: Path) -> tuple[About, str]:
    """What the head of *path* says, and the sha256 of the file; needs no torch. Raises EmbeddingError."""
    said, sha256, _ = _load(path)
    return said, sha256


def read(path: Path) -> Held:
    """The embedding of *path*. Raises EmbeddingError."""
    said, sha256, tensors = _load(path)
    from models import embeddings  # what is damaged is told before torch is loaded

    try:
        found = embeddings.read(said.what, said.plain, tensors)
    except ValueError as error:
        raise EmbeddingError(f"{path}: {error}") from None
    return Held(said, sha256, found)


def _load(path: Path) -> tuple[About, str, Tensors]:
    """Head, sha256 and tensors of *path*, which are those that were written."""
    try:
        data = path.read_bytes()
        with safetensors.safe_open(path, framework="numpy") as file:
            head = file.metadata() or {}
    except OSError as error:
        raise EmbeddingError(f"{path}: {error.strerror}") from None
    except safetensors.SafetensorError as error:
        raise EmbeddingError(f"{path}: is damaged, or no embedding ({error})") from None
    if KEY not in head:
        raise EmbeddingError(f"{path}: holds no embedding; `framewatch taxonomy learn` makes one")
    said = _said(path, head[KEY])
    tensors = safetensors.numpy.load(data)
    if said.tensors != _digest(tensors):
        raise EmbeddingError(f"{path}: is damaged: its tensors are not those that were written; learn it again")
    return said, hashlib.sha256(data).hexdigest(), tensors


def _said(path: Path, head: str) -> About:
    try:
        newer = msgspec.json.decode(head).get("format")
        if newer != FORMAT:
            raise EmbeddingError(f"{path}: has format {newer}, and this program reads {FORMAT}")
        return msgspec.json.decode(head, type=About)
    except (msgspec.DecodeError, AttributeError) as error:
        raise EmbeddingError(f"{path}: its head cannot be read ({error})") from None


def _digest(tensors: Tensors) -> str:
    found = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        found.update(f"{name} {value.dtype.str} {value.shape} ".encode())
        found.update(value.tobytes())
    return found.hexdigest()


def require_fit(path: Path, said: About, size: tuple[int, int], dtype: str) -> None:
    """Raises EmbeddingError where an embedding is for frames of another *size* (height, width) or *dtype*."""
    if (said.height, said.width) != size or said.dtype != dtype:
        raise EmbeddingError(
            f"{path}: is for frames of {said.height} x {said.width} {said.dtype}, and the bundle judges "
            f"{size[0]} x {size[1]} {dtype}; learn another"
        )


def space(bundle: str, embedding: str | None) -> str:
    """Of which points by a *bundle* and an *embedding* are (sha256 each): that of the bundle where there is none."""
    return bundle if embedding is None else hashlib.sha256(f"{bundle} {embedding}".encode()).hexdigest()
