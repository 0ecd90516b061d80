"""Whether the OPC UA server could start as configured. Nothing is made and nothing listens."""

import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from monitor.finding import Finding, open_to_others
from monitor.sinks.opcua import users
from monitor.sinks.opcua.settings import Opcua, OpcuaError

KEY: Final = "opcua"


def examine(config: Opcua) -> Iterator[Finding]:
    """What is wrong with its library and files, or that nothing is."""
    if importlib.util.find_spec("asyncua") is None:
        yield Finding(KEY, "fault", "needs asyncua", "install it with pip install 'framewatch[opcua]'")
        return
    try:
        found = "; ".join([*_who(config), *_pair(config)])
    except OpcuaError as error:
        found = str(error)
        yield Finding(KEY, "fault", found, "mend the file; the OPC UA server does not start with it")
    else:
        yield Finding(KEY, "ok", found)
    yield from open_to_others(KEY, config.users, config.key)


def _who(config: Opcua) -> Iterator[str]:
    """Raises OpcuaError."""
    if config.users is not None:
        yield f"{len(users.read(Path(config.users)))} user(s) in {config.users}"
    if config.open:
        yield "everybody who reaches it may read without security"


def _pair(config: Opcua) -> Iterator[str]:
    """Raises OpcuaError."""
    if config.certificate is None or config.key is None:
        return
    from monitor.sinks.opcua import certificate

    paths = Path(config.certificate), Path(config.key)
    if not any(path.exists() for path in paths):
        for path in paths:
            if not os.access(path.parent, os.W_OK):
                raise OpcuaError(f"opcua.certificate, opcua.key: {path.parent} is no folder that can be written")
        yield f"{paths[0]} and its key will be made"
        return
    held, _ = certificate.read(*paths)
    yield f"{paths[0]} is valid until {held.not_valid_after_utc:%Y-%m-%d}"
