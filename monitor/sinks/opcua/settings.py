"""The OPC UA server's part of the configuration: frozen, typed, every key documented where it is declared."""

import ipaddress
from pathlib import Path
from typing import Annotated, Final

import msgspec

from monitor.alarms.acts import LONGEST_SHELF_S

NAME: Final = "opcua"
"""Of the server among the sinks: label of its metrics, and its place in the journal."""


class OpcuaError(ValueError):
    """The server cannot start as configured: one line for the operator, with the key."""


class Opcua(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who may reach the server, and how. Paths are relative to the configuration's file: `beside`."""

    host: str = "127.0.0.1"
    """Address to listen at. Anything but loopback asks for certificate, key and users, or for `insecure`."""
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 4840
    """Port to listen at; 0 takes a free one."""
    certificate: str | None = None
    """The server's certificate, PEM or (`.der`) DER. If it and the key are missing, a self-signed pair is made."""
    key: str | None = None
    """Its private key, PEM without a password."""
    users: str | None = None
    """File of user names and hashed passwords, as `python -m monitor.sinks.opcua.users FILE NAME` writes it."""
    insecure: bool = False
    """Let clients in without signature, encryption and user name at addresses other than loopback too."""
    anonymous_operates: bool = False
    """Let clients without a user name acknowledge, comment and shelve; else they only read."""
    max_clients: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 16
    """Connections at a time; further ones are closed at once."""
    max_shelve_s: Annotated[float, msgspec.Meta(gt=0, le=LONGEST_SHELF_S)] = 8 * 3600.0
    """Longest time in seconds for which a client may shelve an alarm, a week at most; OneShotShelve takes all of it."""

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key belong together: give both or neither")
        if self.open or (self.certificate is not None and self.users is not None):
            return
        raise ValueError(
            f"host {self.host} is no loopback address: give certificate, key and users, or say insecure: true"
        )

    @property
    def open(self) -> bool:
        """Whether clients come in without security and without a user name."""
        return self.insecure or _is_loopback(self.host)

    def beside(self, folder: Path) -> "Opcua":
        """The same with its paths taken from *folder*."""
        named = {name: getattr(self, name) for name in ("certificate", "key", "users")}
        return msgspec.structs.replace(
            self, **{name: str(folder / path) for name, path in named.items() if path is not None}
        )


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False  # a name may be anyone's
