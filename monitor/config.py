"""The daemon's configuration: one YAML file as frozen, typed values, every key documented where it is declared.

A wrong key or value raises ConfigError with one line that names the file and the key. Paths are relative to the file.
"""

import difflib
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec

from monitor.alarms.config import Alarms
from monitor.calibration_config import Calibration as Calibration  # for those who know it from here
from monitor.calibration_config import Network as Network
from monitor.recorder.config import Recorder
from monitor.sinks.config import WANTED as WANTED_OF_SINKS
from monitor.sinks.config import Sinks
from monitor.sinks.opcua.settings import Opcua
from monitor.taxonomy.config import Taxonomy
from monitor.types import Cause, State
from monitor.types import Priority as Priority  # for those who know it from here
from monitor.yamlfile import ConfigError, load

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]

# ZeroMQ takes a port above 65535 without a word and uses another one.
_PORT = r"(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d{2}|655[0-2]\d|6553[0-5])"
ENDPOINT = rf"^(?:tcp://(?:\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):{_PORT}|ipc://\S+)\Z"
CAMERA_NAME = r"^[A-Za-z0-9._-]{1,64}\Z"
_DEVICE = r"^(?:cpu|cuda(?::\d+)?)\Z"
WANTED = {
    ENDPOINT: "an address such as tcp://127.0.0.1:5555 or ipc:///run/camera",
    CAMERA_NAME: "a name of 1 to 64 of A-Z a-z 0-9 . _ -",
    _DEVICE: "cpu, cuda or cuda:N",
    **WANTED_OF_SINKS,
}
"""What to tell a person who broke a pattern."""

Endpoint = Annotated[str, msgspec.Meta(pattern=ENDPOINT)]
CameraName = Annotated[str, msgspec.Meta(pattern=CAMERA_NAME)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mapping of the file: unknown keys are refused."""


class Input(_Section, frozen=True):
    """Where frames come from."""

    endpoint: Endpoint = "tcp://127.0.0.1:5555"
    """ZeroMQ address of the camera."""
    socket: Literal["sub", "pull"] = "sub"
    """`sub` for a camera that publishes (PUB), `pull` for one that pushes (PUSH)."""
    bind: bool = False
    """true: the daemon listens at the endpoint and the camera connects; false: the other way round."""
    rate_hz: Annotated[float, msgspec.Meta(gt=0, le=1e7)] = 1000.0
    """The camera's frame rate: the hours of the false-alarm budget follow from it, and so do the ring's size and the
    queue's."""
    buffer_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 4.0
    """Seconds of frames that the ring holds: how long the engine may stall before a frame is dropped."""
    silence_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 1.0
    """Without frame or keep-alive for so long the state is `blind`, and another sender may take the name over."""
    frames_per_message: Count = 1
    """Frames that the camera usually sends together: as many fewer messages may wait at the socket, and fill memory."""
    max_frames_per_message: Count = 4096
    """Messages that announce more are rejected."""
    max_frame_px: Annotated[int, msgspec.Meta(ge=16, le=16384)] = 4096
    """Messages with frames of a longer side are rejected."""
    max_message_mib: Annotated[int, msgspec.Meta(ge=1, le=2048)] = 256
    """Messages with more pixels are rejected; a peer that sends four times as much is cut off."""


class Engine(_Section, frozen=True):
    """How frames are scored."""

    batch: Annotated[int, msgspec.Meta(ge=1, le=4096)] = 128
    """Most frames scored together: as many are taken only where frames come faster than small batches are judged."""
    max_wait_ms: Annotated[float, msgspec.Meta(ge=0, le=1000)] = 1.0
    """A batch is scored when it is full or when its oldest frame has waited so long."""
    threads: Annotated[int, msgspec.Meta(ge=1, le=256)] = 1
    """Threads that score, each with frames of its own; on two cores one leaves the other to the socket."""
    device: Annotated[str, msgspec.Meta(pattern=_DEVICE)] = "cpu"
    """`cpu`, `cuda` or `cuda:N`. Calibrating with this configuration sets limits on the scores of this device."""


class Events(_Section, frozen=True):
    """When exceedances become an event: *k* exceedances within *n* judged frames."""

    k: Count = 3
    """Exceedances needed."""
    n: Count = 5
    """... among so many consecutive judged frames."""
    clear_frames: Count | Literal["auto"] = "auto"
    """An event is over when so many judged frames have passed without the rule being met again. `auto`: the block of
    the false-alarm budget, within which all is one event; without a budget 200."""

    deadband: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    """While an event is open, scores count from so much below the limit on, as a share of it: what hovers about it
    is one event. It raises none, so a false-alarm budget holds all the same."""

    def __post_init__(self) -> None:
        if self.k > self.n:
            raise ValueError(f"k is {self.k} but n is only {self.n}: k must not exceed n")


class Permit(_Section, frozen=True):
    """The process interlock: `permit` says whether the process may go on. It is not a safety function."""

    mode: Literal["advisory", "interlock"] = "advisory"
    """`advisory`: for display; `interlock`: a controller acts on it. The mode travels with the value."""
    period_ms: Annotated[int, msgspec.Meta(ge=10, le=10000)] = 100
    """The permit is sent so often, and at every change."""
    ttl_ms: Annotated[int, msgspec.Meta(ge=20, le=60000)] = 500
    """A controller treats an older permit as false."""
    withhold_states: tuple[State, ...] = (
        State.STARTING,
        State.UNCALIBRATED,
        State.DEGRADED,
        State.BLIND,
        State.STALE,
        State.STOPPING,
    )
    """States in which the permit is false."""
    withhold_priorities: tuple[Priority, ...] = ("medium", "high", "critical")
    """Priorities of open events that make the permit false. Where the bundle has a budget of false stops, events of the
    charts do so by its limit and rule (`stop`), whatever the priority of their alarms."""
    idle_release_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """After so long in `idle`, open events withhold the permit no more; without it they do until they end."""
    quiet_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 1.0
    """The permit returns when nothing has withheld it for so long."""
    back: dict[Cause, Literal["acknowledged", "layer_end"]] = {}
    """States and priorities, and `stop`, after which quiet alone does not bring it back: it returns once all their
    alarms are acknowledged, or at the end of the layer in which they ended."""
    fall: dict[Cause, Literal["layer_end"]] = msgspec.field(default_factory=lambda: {"stale": "layer_end"})
    """States, priorities and `stop` that withhold it from the end of the layer on in which they came, not in
    mid-vector: scores that have drifted do not spoil a part at once."""
    layer_end_s: Annotated[float, msgspec.Meta(ge=0, le=86400)] = 60.0
    """... and that wait at most so long for a layer to end; a camera that tells of no layers ends none."""

    def __post_init__(self) -> None:
        if self.ttl_ms < 2 * self.period_ms:
            raise ValueError(
                f"ttl_ms is {self.ttl_ms} but must be at least twice period_ms ({self.period_ms}): one late message "
                "would read as a stop"
            )


class Outputs(_Section, frozen=True):
    """Where subscribers listen."""

    alarms: Endpoint = "tcp://127.0.0.1:5571"
    """PUB socket of the side process: `alarm.<camera>`."""
    permit: Endpoint = "tcp://127.0.0.1:5572"
    """PUB socket of the hot process: `heartbeat.<camera>` and `permit.<camera>`."""
    snapshot: Endpoint | None = "tcp://127.0.0.1:5573"
    """ROUTER socket of the side process, where who joins late asks which alarms are open; null: there is none."""

    @property
    def bound(self) -> dict[str, str]:
        """Key -> address of each, as far as there is one."""
        found = {"outputs.alarms": self.alarms, "outputs.permit": self.permit}
        return found if self.snapshot is None else {**found, "outputs.snapshot": self.snapshot}


class Http(_Section, frozen=True):
    """The page, its API and /metrics."""

    host: str = "127.0.0.1"
    """Address to listen at; anything but loopback shows the page to the network, and needs `token_file`."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8090
    """Port to listen at."""
    token_file: str | None = None
    """File with the token that requests which change something must carry (`framewatch keys token --out FILE`); without
    it they are refused. Only its owner may read it."""


class Security(_Section, frozen=True):
    """Who may speak to the daemon's ZeroMQ sockets, and listen: CURVE keys, which `framewatch keys new` makes."""

    secret: str | None = None
    """File with the daemon's own secret key. Only its owner may read it."""
    clients: str | None = None
    """Folder of the *.public files of who may connect to the sockets that the daemon binds. A file that is added lets
    its owner in, one that is removed cuts its owner off, within seconds; without the folder they ask for no key."""
    camera_key: str | None = None
    """File with the camera's public key, where the daemon connects to it (`input.bind: false`)."""
    insecure: bool = False
    """true: bind beyond loopback without keys, show the page there without a token. Whoever reaches the daemon's ports
    can then send frames and read everything."""

    def __post_init__(self) -> None:
        if self.secret is None and (self.clients or self.camera_key):
            raise ValueError("clients and camera_key need secret, the daemon's own key: 'framewatch keys new NAME'")
        if self.secret and not (self.clients or self.camera_key):
            raise ValueError(
                "secret needs clients (who may connect) or camera_key (of the camera): it says nothing alone"
            )


class Log(_Section, frozen=True):
    """The daemon's log on standard error."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe level that is written."""
    format: Literal["text", "json"] = "text"
    """Readable lines, or one JSON object a line."""


class Config(_Section, frozen=True):
    """The whole file."""

    camera: CameraName = "camera"
    """The camera's name: 1 to 64 of A-Z a-z 0-9 . _ -"""
    bundle: str | None = None
    """Folder that `framewatch calibrate` wrote; without it frames are counted but not judged."""
    calibration_expires_days: Positive | None = None
    """A bundle older than this makes the state `stale`; without it, calibrations do not expire."""
    drift_run_length_h: Positive = 1000.0
    """Scores that still are as at calibration turn the state `stale` once in so many judged hours, on average."""
    journal: str = "framewatch.db"
    """SQLite file of the alarms."""
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 5.0
    """When told to stop, the daemon judges what it has received for at most so long."""
    input: Input = Input()
    engine: Engine = Engine()
    events: Events = Events()
    permit: Permit = Permit()
    alarms: Alarms = Alarms()
    taxonomy: Taxonomy = Taxonomy()
    recorder: Recorder = Recorder()
    outputs: Outputs = Outputs()
    sinks: Sinks = Sinks()
    opcua: Opcua | None = None
    """An OPC UA server for alarms, state and permit; without it there is none."""
    http: Http = Http()
    security: Security = Security()
    log: Log = Log()
    calibration: Calibration = Calibration()

    def __post_init__(self) -> None:
        addresses = [self.input.endpoint, *self.outputs.bound.values()]
        if len(set(addresses)) != len(addresses):
            raise ValueError("input.endpoint, outputs.alarms, outputs.permit and outputs.snapshot must differ")
        if self.input.bind and self.security.camera_key:
            raise ValueError(
                "security.camera_key is for a camera that the daemon connects to; with input.bind true the camera "
                "connects: put its key into the folder of security.clients"
            )


def read(path: Path) -> Config:
    """The configuration in the YAML file at *path*. Raises ConfigError in one line."""
    document = load(path)
    try:
        config = msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {' '.join(_explain(str(error)).split())}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deep") from None
    here = path.resolve().parent
    security, http = config.security, config.http
    return msgspec.structs.replace(
        config,
        journal=str(here / config.journal),
        bundle=_beside(here, config.bundle),
        http=msgspec.structs.replace(http, token_file=_beside(here, http.token_file)),
        security=msgspec.structs.replace(
            security,
            secret=_beside(here, security.secret),
            clients=_beside(here, security.clients),
            camera_key=_beside(here, security.camera_key),
        ),
        taxonomy=config.taxonomy.beside(here),
        recorder=config.recorder.beside(here),
        sinks=config.sinks.beside(here),
        opcua=None if config.opcua is None else config.opcua.beside(here),
    )


def _beside(folder: Path, path: str | None) -> str | None:
    return None if path is None else str(folder / path)


def _explain(message: str) -> str:
    """msgspec's message with the key first and, for an unknown key, the nearest known one."""
    problem, _, place = message.partition(" - at `$")
    key = place.strip("`.")
    for pattern, wanted in WANTED.items():
        if repr(pattern) in problem:
            problem = f"must be {wanted}"
    unknown = re.search(r"unknown field `(.+)`", problem, re.DOTALL)
    if unknown is None:
        return f"{key}: {problem}" if key else problem
    wrong = unknown.group(1)
    near = difflib.get_close_matches(wrong, _keys(key), n=1)
    hint = f"; did you mean '{near[0]}'?" if near else f"; known here: {', '.join(_keys(key))}"
    return f"{key + '.' if key else ''}{wrong}: unknown key{hint}"


def _keys(section: str) -> list[str]:
    """Keys that a section may have; of a list of mappings, such as `sinks.webhooks[0]`, those of each."""
    found: Any = Config
    for name in filter(None, section.split(".")):
        kind = get_type_hints(found)[name.partition("[")[0]]
        found = next((one for one in get_args(kind) if hasattr(one, "__struct_fields__")), kind)
    return list(found.__struct_fields__)
