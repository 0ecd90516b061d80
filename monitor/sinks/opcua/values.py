"""Plain values as the library has them. It takes these as they are, though its annotations ask for types of its own."""

from datetime import UTC, datetime
from typing import Any

from asyncua import ua


def node_id(identifier: int | str | bytes, index: int = 0) -> ua.NodeId:
    """A node's identifier; *index* 0 is the namespace of OPC UA itself, whose numbers stand in ua.ObjectIds."""
    made: Any = ua.NodeId
    return made(identifier, index)  # type: ignore[no-any-return]


def status(code: int) -> ua.StatusCode:
    """One of ua.StatusCodes."""
    made: Any = ua.StatusCode
    return made(code)  # type: ignore[no-any-return]


def moment(t_ns: int) -> Any:
    """Unix nanoseconds as OPC UA has it."""
    return datetime.fromtimestamp(t_ns / 1e9, UTC)
