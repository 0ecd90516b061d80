"""`framewatch doctor`: what would keep the daemon from running here, and how to mend it. Starts nothing."""

import contextlib
import ctypes
import os
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import torch

from models.cuda import is_there, lacking
from monitor import exposure, keys
from monitor.bundle import Bundle, read
from monitor.config import Config, Security
from monitor.device import oddities
from monitor.finding import Finding as Finding  # for those who know it from here
from monitor.journal.age import NEVER_BEFORE_NS
from monitor.journal.reader import Reader
from monitor.journal.reading import Wanted
from monitor.journal.store import JournalError
from monitor.keeping import RATE_APART
from monitor.keys import KeyFileError
from monitor.recorder import check as recordings
from monitor.score import load_scorer
from monitor.service import MEMORY_SHARE, available_bytes, ring_bytes, ring_slots
from monitor.sinks import check as sinks
from monitor.sinks.opcua import check as opcuas
from monitor.taxonomy import check as kinds
from monitor.taxonomy import embedding as embeddings
from monitor.taxonomy.embedding import EmbeddingError
from monitor.web import token

DISK_FREE_MIN = 1 << 30
TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised


def examine(config: Config) -> list[Finding]:
    """All checks of *config* on this machine, in the order in which a person would look."""
    bundle, about_bundle = _bundle(config)
    return [
        Finding("program", "ok", f"Python {sys.version.split()[0]}, torch {torch.__version__}, {os.cpu_count()} cores"),
        _device(config),
        about_bundle,
        _memory(config, bundle),
        *_ports(config),
        *_security(config),
        _journal(config),
        kinds.examine(config, _frame_bytes(bundle)),
        _disk(config),
        *_embedding(config, bundle),
        recordings.examine(config),
        *sinks.examine(config.sinks, config.camera),
        *(opcuas.examine(config.opcua) if config.opcua is not None else ()),
        _clock(),
    ]


def _device(config: Config) -> Finding:
    if config.engine.device == "cpu":
        there = f", {torch.cuda.get_device_name()} is there too" if torch.cuda.is_available() else ""
        return Finding("device", "ok", f"cpu, {config.engine.threads} thread(s){there}")
    if is_there(config.engine.device):
        return Finding("device", "ok", f"{config.engine.device}: {torch.cuda.get_device_name(config.engine.device)}")
    return Finding(
        "device",
        "fault",
        lacking(config.engine.device),
        "set engine.device to cpu, or install a driver and a CUDA build of torch",
    )


def _bundle(config: Config) -> tuple[Bundle | None, Finding]:
    if config.bundle is None:
        return None, Finding(
            "bundle",
            "warning",
            "none is configured: frames are counted, not judged",
            "make one with 'framewatch calibrate' and name it under bundle",
        )
    try:
        bundle = read(Path(config.bundle))
        load_scorer(bundle)
        bundle.manifest.rule_for(config.events)
    except ValueError as error:
        return None, Finding("bundle", "fault", str(error), "calibrate anew, or name another bundle")
    held = bundle.manifest
    age_days = (time.time_ns() - held.created_ns) / 86_400e9
    shown = "".join(f", {context}" for context in held.contexts or () if context)
    found = (
        f"{bundle.path}: {held.height}x{held.width} {held.dtype}{shown}, {age_days:.1f} days old, all files verified"
    )
    if config.calibration_expires_days is not None and age_days > config.calibration_expires_days:
        return bundle, Finding("bundle", "warning", f"{found}; expired", "calibrate anew: the state would be stale")
    budget = held.budget
    if budget is not None and abs(config.input.rate_hz / budget.rate_hz - 1) > RATE_APART:
        return bundle, Finding(
            "bundle",
            "warning",
            f"{found}; its false-alarm budget counts {budget.rate_hz:g} frames as a second, the camera sends "
            f"{config.input.rate_hz:g}",
            "set input.rate_hz to the camera's rate, and calibrate or recalibrate with it",
        )
    if budget is not None and (other := budget.other_than(config.calibration)):
        return bundle, Finding(
            "bundle", "warning", f"{found}; {other}", "recalibrate, or set it to what the limits keep"
        )
    if config.permit.mode == "interlock" and budget is not None and budget.stops is None:
        return bundle, Finding(
            "bundle",
            "warning",
            f"{found}; permit.mode is interlock, and the machine stops for every false alarm, {budget.per_hour:g} an "
            "hour",
            "set calibration.false_stops_per_hour to what it may stop for nothing, and recalibrate on a clean stretch",
        )
    if odd := "; ".join(oddities(held.engine, held.precision, config.engine.device)):
        return bundle, Finding(
            "bundle", "warning", f"{found}; {odd}", "calibrate anew with this configuration, or set engine.device"
        )
    stops = budget.stops if budget else None
    if held.extrapolated or (stops is not None and stops.extrapolated_by > 1):
        more = "calibrate on more held-out frames"
        if rarest := stops or budget:
            more = f"let the daemon judge {_span(1 / rarest.per_hour)}, then 'framewatch recalibrate'; or {more}"
        which = "limits" if held.extrapolated else "stop limit"
        return bundle, Finding("bundle", "warning", f"{found}; {which} extrapolated", more)
    return bundle, Finding("bundle", "ok", found)


def _frame_bytes(bundle: Bundle | None) -> int | None:
    if bundle is None:
        return None
    held = bundle.manifest
    return held.height * held.width * np.dtype(held.dtype).itemsize


def _memory(config: Config, bundle: Bundle | None) -> Finding:
    size, free = ring_bytes(config, bundle), available_bytes()
    found = (
        f"ring of {ring_slots(config)} frames ({config.input.buffer_s:g} s at {config.input.rate_hz:g} Hz) takes "
        f"{size / 2**20:.0f} MiB of {free / 2**20:.0f} MiB free"
    )
    if size > MEMORY_SHARE * free:
        return Finding("memory", "fault", found, "lower input.buffer_s or input.rate_hz")
    return Finding("memory", "ok", found)


def _ports(config: Config) -> Iterator[Finding]:
    """Whether the addresses that the daemon would listen at are free."""
    yield _address("http.port", config.http.host, config.http.port)
    if config.opcua is not None:
        yield _address("opcua.port", config.opcua.host, config.opcua.port)
    wanted = config.outputs.bound
    if config.input.bind:
        wanted = {**wanted, "input.endpoint": config.input.endpoint}
    for key, endpoint in wanted.items():
        parts = urlsplit(endpoint)
        if parts.scheme == "tcp" and parts.hostname and parts.port:
            yield _address(key, "0.0.0.0" if parts.hostname == "*" else parts.hostname, parts.port)


def _address(key: str, host: str, port: int) -> Finding:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return Finding(
                key, "fault", f"{host}:{port}: {error.strerror}", "stop what holds it (a running daemon?) or change it"
            )
    return Finding(key, "ok", f"{host}:{port} is free")


def _security(config: Config) -> Iterator[Finding]:
    """Who may speak, listen and change something, and whether the files that say so are fit."""
    security, token_file = config.security, config.http.token_file
    yield _keys(security)
    for line in exposure.exposed(config):
        problem, _, remedy = line.partition("; ")
        yield Finding("security", "warning" if security.insecure else "fault", problem, remedy)
    if not (config.input.bind or security.camera_key or exposure.is_local(config.input.endpoint)):
        found = f"the camera at {config.input.endpoint} proves its identity by no key: frames may be anybody's"
        yield Finding("security", "warning", found, "set security.secret and security.camera_key")
    if token_file is None:
        yield Finding("http.token_file", "ok", "no token: what changes something over HTTP is refused")
        return
    try:
        token.read(Path(token_file))
    except KeyFileError as error:
        yield Finding("http.token_file", "fault", str(error), "mend the file; the daemon does not start with it")
    else:
        yield Finding("http.token_file", "ok", f"{token_file}: only its owner may read it")


def _keys(security: Security) -> Finding:
    try:
        found = keys.of_daemon(security)
    except KeyFileError as error:
        return Finding("security", "fault", str(error), "mend the file; the daemon does not start with it")
    if found is None:
        return Finding("security", "ok", "no keys: sockets take whoever reaches them")
    camera = ", and the camera proves itself by its own" if found.server else ""
    if found.clients is None:
        return Finding("security", "ok", f"this daemon has a key{camera}; sockets that it binds ask for none")
    allowed = len(keys.read_folder(found.clients)[0])
    told = f"{allowed} key(s) in {found.clients} may connect{camera}"
    if allowed == 0:
        more = f"put the {keys.PUBLIC} files of who may connect there"
        return Finding("security", "warning", f"{told}: nobody can", more)
    return Finding("security", "ok", told)


def _journal(config: Config) -> Finding:
    path = Path(config.journal)
    if not path.exists():
        if path.parent.is_dir() and os.access(path.parent, os.W_OK):
            return Finding("journal", "ok", f"{path} will be made")
        return Finding("journal", "fault", f"{path.parent} is no folder that can be written", "make it, or set journal")
    for one in _written_with(path):
        if not os.access(one, os.W_OK):
            return Finding("journal", "fault", f"{one} cannot be written", "let the daemon's user write it")
    if path.is_file() and path.stat().st_size == 0:
        return Finding("journal", "ok", f"{path} is empty and will be filled")
    try:
        with contextlib.closing(Reader(path, config.camera)) as journal:
            damage, count = journal.damage(), journal.count(Wanted("active"))
    except JournalError as error:
        return Finding("journal", "fault", str(error), "move it away to start a new one, or restore a copy")
    if damage:
        return Finding("journal", "fault", f"{path} is damaged ({damage})", "move it away, or restore a copy")
    return Finding("journal", "ok", f"{path}: {count} alarms are open")


def _embedding(config: Config, bundle: Bundle | None) -> Iterator[Finding]:
    """What kinds of anomaly are told apart by, where it is not residuals as they are."""
    if config.taxonomy.embedding is None:
        return
    path = Path(config.taxonomy.embedding)
    try:
        held = embeddings.read(path)
        if bundle is not None:
            embeddings.require_fit(
                path, held.about, (bundle.manifest.height, bundle.manifest.width), bundle.manifest.dtype
            )
    except EmbeddingError as error:
        yield Finding("embedding", "fault", str(error), "mend or learn it, or leave out taxonomy.embedding")
        return
    learned = f", learned from {held.about.frames} frames" if held.about.frames else ""
    yield Finding("embedding", "ok", f"{path}: {held.about.what}, {held.embedding.size} numbers a frame{learned}")


def _written_with(path: Path) -> list[Path]:
    """The folder of the journal at *path*, and what lies there of it: the daemon writes them all."""
    beside = [path.with_name(path.name + end) for end in ("", "-wal", "-shm", ".lock")]
    return [path.parent, *(one for one in beside if one.exists())]


def _disk(config: Config) -> Finding:
    folder = Path(config.journal).parent
    if not folder.is_dir():
        return Finding("disk", "fault", f"{folder} does not exist", "make it, or set journal")
    free = shutil.disk_usage(folder).free
    found = f"{free / 2**30:.1f} GiB free at {folder}"
    if free < DISK_FREE_MIN:
        return Finding("disk", "warning", found, "make room: alarms are journalled here")
    return Finding("disk", "ok", found)


def _clock() -> Finding:
    if time.time() * 1e9 < NEVER_BEFORE_NS:
        return Finding("clock", "fault", f"it says {time.strftime('%Y-%m-%d', time.gmtime())}", "set the clock")
    adjtimex: Callable[..., int] | None = getattr(ctypes.CDLL(None), "adjtimex", None)
    if adjtimex is None:
        return Finding("clock", "ok", "set (whether it is synchronised cannot be asked here)")
    status = adjtimex(ctypes.create_string_buffer(512))
    if status == TIME_ERROR:
        return Finding(
            "clock", "warning", "set, but not synchronised", "run chrony or systemd-timesyncd: alarm times depend on it"
        )
    if status < 0:
        return Finding("clock", "ok", "set (whether it is synchronised may not be asked here)")
    return Finding("clock", "ok", "set and synchronised")


def _span(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.3g} h"
    minutes = f"{60 * hours:.3g}"
    return f"{minutes} minute{'s' * (minutes != '1')}"
