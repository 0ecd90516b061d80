"""The section `sinks:` of the configuration: every key documented where it is declared."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from monitor.types import Priority

SINK_NAME: Final = r"^[A-Za-z0-9._-]{1,32}\Z"
URL: Final = r"^https?://[^\s/@?#]+(?:[/?]\S*)?\Z"
TOPIC: Final = r"^[^#+\s/$][^#+\s]{0,199}(?<!/)\Z"
WANTED: Final = {
    SINK_NAME: "a name of 1 to 32 of A-Z a-z 0-9 . _ -",
    URL: "an address such as https://host/path, without user or password",
    TOPIC: "a topic such as plant/hall2, without + # and blanks, no / at either end",
}
"""What to tell a person who broke a pattern."""

Source = Literal[
    "charts", "rates", "camera", "service",
    "frozen", "saturated", "dark", "rows_missing", "blind", "stale", "uncalibrated", "degraded", "flood", "new_kind",
]  # fmt: skip
"""A group of sources, or one of them. The charts go together: an open alarm moves to the chart that is most extreme."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What all sinks have in common."""

    name: Annotated[str, msgspec.Meta(pattern=SINK_NAME)]
    """Label of its metrics, and its place in the journal: under a new name a sink begins anew, with what comes then."""
    min_priority: Priority = "low"
    """Alarms of lower priority do not go there; one that rises goes from then on."""
    sources: tuple[Source, ...] = ("charts", "rates", "camera", "service")
    """Only alarms of these go there: `charts`, `rates`, `camera`, `service` or single ones of the last two."""
    timeout_s: Annotated[float, msgspec.Meta(ge=0.1, le=300)] = 10.0
    """A delivery that takes longer has failed, and is tried again."""
    max_age_s: Annotated[float, msgspec.Meta(ge=1, le=1e8)] = 86400.0
    """After an outage, changes older than this are shed where a newer revision of the same alarm follows."""


class Webhook(Options, frozen=True):
    """Alarm changes by HTTP POST."""

    url: Annotated[str, msgspec.Meta(pattern=URL)]
    """Where to; redirects are not followed."""
    secret_file: str | None = None
    """File with the secret that signs what is sent; without it nothing is signed."""
    ca_file: str | None = None
    """Certificates (PEM) of the authorities that may speak for the receiver; without it the usual ones."""


class Tls(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How the broker proves who it is, and we to it."""

    ca_file: str | None = None
    """Certificates (PEM) of the authorities that may speak for the broker; without it the system's."""
    cert_file: str | None = None
    """Our own certificate (PEM), where the broker asks for one; the key may stand in the same file."""
    key_file: str | None = None
    """The key of our certificate (PEM)."""


class Mqtt(Options, frozen=True):
    """Alarms, heartbeat and permit to an MQTT 5 broker."""

    host: str
    """The broker."""
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] | None = None
    """Its port; without it 1883, with TLS 8883."""
    prefix: Annotated[str, msgspec.Meta(pattern=TOPIC)] = "framewatch"
    """Topics begin with it: `<prefix>/<camera>/...`"""
    client_id: Annotated[str, msgspec.Meta(min_length=1, max_length=128)] | None = None
    """Name at the broker, which cuts off an older connection of the same name; without it made of camera and host."""
    user: str | None = None
    """User at the broker."""
    password_file: str | None = None
    """File with the user's password."""
    tls: Tls | None = None
    """Encrypted where given; an empty mapping is enough."""

    def __post_init__(self) -> None:
        if self.password_file is not None and self.user is None:
            raise ValueError("password_file needs user: whose password is it?")


class Command(Options, frozen=True):
    """Alarm changes to a program, on its standard input."""

    command: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    """The program and its arguments, started without a shell; looked for in /usr/local/bin, /usr/bin and /bin."""


Given = TypeVar("Given", bound=msgspec.Struct)


class Sinks(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where alarm changes go beside the PUB socket: each sink at its own pace."""

    webhooks: tuple[Webhook, ...] = ()
    """Receivers of HTTP POST."""
    mqtt: tuple[Mqtt, ...] = ()
    """Brokers."""
    commands: tuple[Command, ...] = ()
    """Programs to start."""

    def __post_init__(self) -> None:
        for name in self.names:
            if self.names.count(name) > 1:
                raise ValueError(f"two sinks are called '{name}': names must differ")

    @property
    def names(self) -> list[str]:
        """What each is called in metrics and in the journal."""
        return [sink.name for sink in (*self.webhooks, *self.mqtt, *self.commands)]

    def beside(self, folder: Path) -> "Sinks":
        """The same with paths that are relative to *folder* made absolute."""
        return Sinks(
            webhooks=_beside(self.webhooks, folder, "secret_file", "ca_file"),
            mqtt=tuple(
                msgspec.structs.replace(
                    sink, tls=sink.tls and _beside([sink.tls], folder, "ca_file", "cert_file", "key_file")[0]
                )
                for sink in _beside(self.mqtt, folder, "password_file")
            ),
            commands=tuple(
                msgspec.structs.replace(sink, command=(_program(sink.command[0], folder), *sink.command[1:]))
                for sink in self.commands
            ),
        )


def _beside(structs: Iterable[Given], folder: Path, *keys: str) -> tuple[Given, ...]:
    def absolute(path: str | None) -> str | None:
        return None if path is None else str(folder / path)

    return tuple(msgspec.structs.replace(one, **{key: absolute(getattr(one, key)) for key in keys}) for one in structs)


def _program(name: str, folder: Path) -> str:
    """A name without a slash is looked for where programs are."""
    return str(folder / name) if os.sep in name else name
