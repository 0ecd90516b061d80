"""What frames are scored on: whether it is there, what it is called, and whether limits were set on its scores."""

from models.scorer import CPU, has_bfloat16
from models.scores import Precision

# What asks torch loads it then: a process that scores on the processor starts in half the time without.


def require(device: str) -> None:
    """Raises ValueError, in one line, where the configured *device* is not there."""
    if device == CPU:
        return
    from models import cuda

    if not cuda.is_there(device):
        raise ValueError(f"engine.device: {cuda.lacking(device)}; use cpu")


def name_of(device: str) -> str:
    """*device* as a bundle names it: `cpu`, or `cuda` and the name that it is sold under."""
    if device == CPU:
        return device
    import torch

    from models import cuda

    return f"cuda {torch.cuda.get_device_name(device)}" if cuda.is_there(device) else device


def engine_of(device: str) -> str:
    """What scores on *device*, for a bundle's manifest."""
    import torch

    return f"torch {torch.__version__} {name_of(device)}"


def oddities(engine: str, precision: Precision, device: str) -> list[str]:
    """What is to be said of a bundle's *engine* and *precision* where *device* scores, a line each."""
    found = [other] if (other := other_than(engine, device)) else []
    if precision == "bfloat16" and not has_bfloat16(device):
        found.append(
            f"the bundle's decoder is in bfloat16, for which {name_of(device)} has no instructions: it is far slower"
        )
    return found


def other_than(engine: str, device: str) -> str:
    """That the limits of a bundle's *engine* meet scores of another *device*, in one line; empty where they do not.

    Devices round otherwise: scores differ in the last digits, with a decoder in bfloat16 in the third.
    """
    held, found = engine.split(" ", 2)[-1], name_of(device)
    if held == found:
        return ""
    return f"the bundle's limits were set on scores of {held}, engine.device scores on {found}"
