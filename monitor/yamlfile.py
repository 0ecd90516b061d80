"""YAML without its traps: duplicate keys are refused, and scalars mean what they look like.

YAML 1.1 reads `on` as true, `010` as eight and `1e-3` as text. Here only `true`, `false`, `null` and plain decimal
numbers are anything but text (the core of YAML 1.2).
"""

import math
import re
from pathlib import Path
from typing import Any

import yaml


class ConfigError(ValueError):
    """A file that a person wrote is wrong: one line that names the file and the key and says what to do."""


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2 and without duplicate keys."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  (yaml's own attribute)


_SCALARS = (
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?[0-9]+$", "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$",
        "-+.0123456789",
    ),
)
for _tag, _pattern, _first in _SCALARS:
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str):
            raise ConfigError(f"line {key_node.start_mark.line + 1}: the key {key!r} must be text")
        if key in found:
            raise ConfigError(f"line {key_node.start_mark.line + 1}: the key '{key}' is given twice; keep one")
        found[key] = loader.construct_object(value_node, deep=True)
    return found


def _number(loader: _Loader, node: yaml.ScalarNode) -> float:
    value = float(node.value)
    if not math.isfinite(value):
        raise ConfigError(f"line {node.start_mark.line + 1}: {node.value} is too large for a number")
    return value


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
_Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
_Loader.add_constructor("tag:yaml.org,2002:float", _number)


def load(path: Path) -> dict[str, Any]:
    """The mapping in the YAML file at *path*. Raises ConfigError in one line."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text") from None
    try:
        document = yaml.load(text, _Loader)  # a SafeLoader
    except ConfigError as error:
        raise ConfigError(f"{path}: {_one_line(str(error))}") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problem = ", ".join(filter(None, (error.context, error.problem))) or "not valid YAML"
        raise ConfigError(f"{path}: line {line}: {_one_line(problem)}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: {_one_line(str(error))}") from None
    except RecursionError:
        raise ConfigError(f"{path}: is nested too deep") from None
    except (ValueError, LookupError, TypeError, AttributeError):  # a tag like !!int in front of what is none
        raise ConfigError(f"{path}: holds a value that is too large or does not fit its tag") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: must hold keys and values, not a {type(document).__name__}")
    return document


def _one_line(text: str) -> str:
    return " ".join(text.split())
