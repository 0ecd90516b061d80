"""The bundle: what calibration hands to the daemon. One folder, written whole or not at all, verified on reading.

`manifest.json` names the sha256 of every other file; the bundle's own sha256 is that of the manifest, and stands in
`manifest.sha256`. No pickle.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import safetensors.numpy

from calibration.camera import CameraLimits
from calibration.limits import ContextLimits, Limit
from calibration.memory import MemoryChart
from calibration.scale import times
from monitor.manifest import Manifest, as_limits
from monitor.types import Admission

FORMAT = 6
"""5 had no stop limit, and is read; 3 had limits per frame only; 2 one architecture and one set of limits for all
contexts; 1 limits without tails."""

OLDEST = 5

MANIFEST = "manifest.json"
MANIFEST_SUM = "manifest.sha256"  # as `sha256sum --check` reads it
WEIGHTS = "weights.safetensors"
REPORT = "report.html"

Tensors = dict[str, npt.NDArray[np.generic]]


class BundleError(ValueError):
    """A bundle that must not be used: one line that names it and says why."""


class Bundle(NamedTuple):
    """A verified bundle in memory."""

    path: Path
    sha256: str
    manifest: Manifest
    tensors: Tensors

    def __repr__(self) -> str:
        return f"Bundle({self.path}, {self.sha256[:12]})"

    @property
    def admission(self) -> Admission:
        held = self.manifest
        contexts = None if held.contexts is None else frozenset(held.contexts)
        return Admission(held.height, held.width, held.dtype, held.settings, contexts)

    @property
    def limits(self) -> tuple[Limit, ...]:
        """Of all contexts pooled."""
        return self.manifest.fitted_limits

    @property
    def context_limits(self) -> ContextLimits:
        own = {context: as_limits(limits) for context, limits in self.manifest.own_limits.items()}
        return ContextLimits(self.limits, own)

    @property
    def stop_limits(self) -> ContextLimits | None:
        """The scores at which each chart is over the joint limit for stops; None: there is none."""
        budget = self.manifest.budget
        rule = None if budget is None else budget.stop_rule
        return None if rule is None else times(self.context_limits, rule.limit)

    @property
    def latent(self) -> int:
        """Size of the network's latents."""
        return len(self.tensors["charts.latent_mean"])

    @property
    def memory(self) -> MemoryChart | None:
        return self.manifest.memory.as_memory() if self.manifest.memory else None

    @property
    def camera_limits(self) -> CameraLimits:
        return CameraLimits(**msgspec.structs.asdict(self.manifest.camera))


def require_writable(path: Path) -> None:
    """Raises BundleError where no bundle can be written to *path*: to be asked before a training, not after it."""
    if path.name in ("", ".."):
        raise BundleError(f"{path}: a bundle is a folder of its own; choose another --out")
    if path.exists() and not (path / MANIFEST).is_file() and (not path.is_dir() or any(path.iterdir())):
        raise BundleError(f"{path}: is there already and is no bundle; choose another --out or remove it")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise BundleError(f"{path}: {above} is no folder that can be written; choose another --out")


def write(path: Path, manifest: Manifest, tensors: Tensors, report: str | None) -> Bundle:
    """Write a bundle to *path*; a bundle that is there is replaced, anything else is left alone.

    A whole bundle stands at *path* at any time, but for the moment between two renames when one replaces another: a
    machine that dies just then leaves the old one in `.NAME.old.*/bundle`. Raises BundleError where *path* holds
    something that is no bundle, OSError where the disk refuses.
    """
    require_writable(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        contents = {WEIGHTS: safetensors.numpy.save(tensors)}
        if report is not None:
            contents[REPORT] = report.encode()
        for name, data in contents.items():
            _write_synced(scratch / name, data)
        sums = {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        text = msgspec.json.format(msgspec.json.encode(msgspec.structs.replace(manifest, files=sums)), indent=2)
        _require_readable(path, text)
        _write_synced(scratch / MANIFEST, text)
        _write_synced(scratch / MANIFEST_SUM, _sum_line(hashlib.sha256(text).hexdigest()))
        scratch.chmod(0o755)
        _swap(scratch, path)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return read(path)


def _require_readable(path: Path, text: bytes) -> None:
    """A number that is not finite becomes null in JSON: such a bundle must not replace one that can be read."""
    try:
        msgspec.json.decode(text, type=Manifest)
    except msgspec.ValidationError as error:
        raise BundleError(f"{path}: was not written, its manifest would not be readable ({error})") from None


def read_report(path: Path) -> str | None:
    """The report of the bundle at *path*, where it has one."""
    return (path / REPORT).read_text() if (path / REPORT).is_file() else None


def read_manifest(path: Path) -> tuple[Manifest, str]:
    """The manifest of the bundle at *path* and the bundle's sha256. Raises BundleError."""
    try:
        text = (path / MANIFEST).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise BundleError(f"{path}: is no bundle (no {MANIFEST}); make one with 'framewatch calibrate'") from None
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}") from None
    sha256 = hashlib.sha256(text).hexdigest()
    try:
        written = msgspec.json.decode(text, type=dict[str, object]).get("format")
        if isinstance(written, int) and written > FORMAT:
            raise BundleError(
                f"{path}: has format {written}, this program reads up to {FORMAT}; upgrade framewatch or calibrate anew"
            )
        if isinstance(written, int) and written < OLDEST:
            raise BundleError(f"{path}: has format {written}, of an earlier framewatch; calibrate anew")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BundleError(f"{path}: {MANIFEST} is damaged ({error}); restore it or calibrate anew") from None
    if _contents(path, MANIFEST_SUM) != _sum_line(sha256):
        raise BundleError(f"{path}: {MANIFEST} was changed or damaged since calibration; restore it or calibrate anew")
    return manifest, sha256


def read(path: Path) -> Bundle:
    """The bundle at *path*, every file checked against its sha256. Raises BundleError."""
    manifest, sha256 = read_manifest(path)
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise BundleError(f"{path}: {MANIFEST} names a file outside the bundle; it is damaged")
        if hashlib.sha256(_contents(path, name)).hexdigest() != expected:
            raise BundleError(f"{path}: {name} was changed or damaged since calibration; restore it or calibrate anew")
    if WEIGHTS not in manifest.files:
        raise BundleError(f"{path}: {MANIFEST} names no {WEIGHTS}; it is damaged")
    return Bundle(path, sha256, manifest, safetensors.numpy.load((path / WEIGHTS).read_bytes()))


def _contents(path: Path, name: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except OSError as error:
        raise BundleError(f"{path}: {name} cannot be read: {error.strerror}; restore it or calibrate anew") from None


def _sum_line(sha256: str) -> bytes:
    return f"{sha256}  {MANIFEST}\n".encode()


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _swap(scratch: Path, path: Path) -> None:
    """Put the finished folder in place: readers see the old bundle or the new one."""
    if path.exists():
        _replace(scratch, path)
    else:
        scratch.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _replace(scratch: Path, path: Path) -> None:
    aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.old.", dir=path.parent))
    try:
        path.rename(aside / "bundle")
        try:
            scratch.rename(path)
        except OSError:
            (aside / "bundle").rename(path)
            raise
        shutil.rmtree(aside / "bundle")
    finally:
        with contextlib.suppress(OSError):  # it is not empty where the old bundle could not be put back
            aside.rmdir()
