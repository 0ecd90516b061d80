"""What the values of options may be: text to a value, or one line that says what is wrong with it.

Imports stand inside the functions: a command that has no such option does not wait for them.
"""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from monitor.exclusion import Exclusion

WHOLE_MOST: Final = 2**63 - 1
"""Neither the files nor torch take more."""


def exclusion(text: str) -> "Exclusion":
    from monitor.exclusion import parse

    try:
        return parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number") from None


def positive(text: str) -> float:
    value = _number(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must be above 0")
    return value


def budget(text: str) -> float:
    value = _number(text)
    if not 1e-6 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text} must lie between 1e-6 and 1e6")
    return value


def reason(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("give a reason: it stands in the bundle's history")
    return text.strip()


def not_negative(text: str) -> float:
    value = _number(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} must not be below 0")
    return value


def rate(text: str) -> float:
    value = _number(text)
    if not 1e-3 <= value <= 1e7:
        raise argparse.ArgumentTypeError(f"{text} must lie between 0.001 and 1e7")
    return value


def share(text: str) -> float:
    value = _number(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} must lie between 0 and 1")
    return value


def _whole(text: str, least: int) -> int:
    try:
        value = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no whole number") from None
    if value < least:
        raise argparse.ArgumentTypeError(f"{text} must be at least {least}")
    if value > WHOLE_MOST:
        raise argparse.ArgumentTypeError(f"{text} must be at most {WHOLE_MOST}")
    return value


def count(text: str) -> int:
    return _whole(text, 1)


def seed(text: str) -> int:
    return _whole(text, 0)


def size(text: str) -> tuple[int, int]:
    height, _, width = text.partition("x")
    return count(height), count(width or height)


def names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise argparse.ArgumentTypeError(f"'{text}' must be names with commas between them")
    return names


def context(text: str) -> str:
    from monitor.types import TEXT_BYTES

    if not 0 < len(text.encode("utf-8", "replace")) <= TEXT_BYTES or not text.isprintable():
        raise argparse.ArgumentTypeError(f"'{text}' must be the name of a context, of at most {TEXT_BYTES} bytes")
    return text


def no_recording(context: str, paths: Sequence[str]) -> str:
    """*context*, unless it is itself a recording, which would be left out in silence. *paths* are those after it."""
    from monitor.camera.recordings import IMAGES

    place = Path(context)
    images = place.is_dir() and any(one.suffix.lower() in IMAGES for one in place.iterdir())
    # Frames may well lie in a folder that is named after their context.
    beside = any(place.resolve() not in (Path(path).resolve(), *Path(path).resolve().parents) for path in paths)
    if place.name != context or place.is_file() or (images and (beside or not paths)):
        raise argparse.ArgumentTypeError(f"'{context}' is a path: name the context first, then paths (--in hatch PATH)")
    return context


def camera(text: str) -> str:
    from monitor.config import CAMERA_NAME

    return _like(CAMERA_NAME, text, text)


def endpoint(text: str) -> str:
    from monitor.config import ENDPOINT

    return _like(ENDPOINT, text, text)


def own_endpoint(text: str) -> str:
    """An endpoint that may leave the choice of the port to the system."""
    from monitor.config import ENDPOINT

    return _like(ENDPOINT, re.sub(r":[0*]\Z", ":1", text), text)


def device(text: str) -> str:
    import msgspec

    from monitor.config import Engine

    try:
        return msgspec.convert({"device": text}, Engine).device
    except msgspec.ValidationError:
        raise argparse.ArgumentTypeError(f"'{text}' must be cpu, cuda or cuda:N") from None


def _like(pattern: str, checked: str, text: str) -> str:
    from monitor.config import WANTED

    if not re.search(pattern, checked):
        raise argparse.ArgumentTypeError(f"'{text}' must be {WANTED[pattern]}")
    return text
