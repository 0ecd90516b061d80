"""Who may operate: user names with hashed passwords in a file, one `name:salt:hash` a line.

`python -m monitor.sinks.opcua.users FILE NAME` asks for a password and writes the line.
"""

import getpass
import hashlib
import hmac
import os
import re
import secrets
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

from monitor.sinks.opcua.settings import OpcuaError

PAUSE_S: Final = 1.0
"""After a wrong password no other one is tried for the same name so long: guessing costs the event loop little."""

_NAME: Final = re.compile(r"[^\s:]{1,64}")
_SCRYPT: Final = {"n": 2**14, "r": 8, "p": 1}  # 16 MiB and some 40 ms each


class Secret(NamedTuple):
    """A password that cannot be read back."""

    salt: bytes
    digest: bytes


def conceal(password: str, salt: bytes | None = None) -> Secret:
    """*password* hashed with *salt*, or with a new one."""
    salt = secrets.token_bytes(16) if salt is None else salt
    return Secret(salt, hashlib.scrypt(password.encode(), salt=salt, n=_SCRYPT["n"], r=_SCRYPT["r"], p=_SCRYPT["p"]))


def line_of(name: str, password: str) -> str:
    """The line of the file that lets *name* in. Raises ValueError where a name cannot be used."""
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"'{name}' cannot be a user name: 1 to 64 letters without space and colon")
    secret = conceal(password)
    return f"{name}:{secret.salt.hex()}:{secret.digest.hex()}"


def read(path: Path) -> dict[str, Secret]:
    """The users in the file at *path*. Raises OpcuaError in one line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OpcuaError(f"opcua.users: {path} cannot be read ({error})") from None
    found = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            name, salt, digest = line.strip().split(":")
            found[name] = Secret(bytes.fromhex(salt), bytes.fromhex(digest))
        except ValueError:
            raise OpcuaError(f"opcua.users: line {number} of {path} is not name:salt:hash") from None
    return found


class Doorman:
    """Tells whether a name and a password belong together, without being hurried."""

    def __init__(self, users: Mapping[str, Secret], clock: Callable[[], float] = time.monotonic) -> None:
        self._users = users
        self._clock = clock
        self._again: dict[str, float] = {}  # by name, known ones only: when the next password is tried

    def knows(self, name: str, password: str) -> bool:
        """Whether *password* is that of *name*. False within PAUSE_S of a wrong one, whatever is given."""
        secret = self._users.get(name)
        if secret is None or self._clock() < self._again.get(name, 0.0):
            return False
        if hmac.compare_digest(conceal(password, secret.salt).digest, secret.digest):
            return True
        self._again[name] = self._clock() + PAUSE_S
        return False


def main(arguments: list[str]) -> int:
    """Add a user to a file, or change a password. Returns the exit status."""
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m monitor.sinks.opcua.users FILE NAME\n")
        return 2
    path, name = Path(arguments[0]), arguments[1]
    try:
        line = line_of(name, getpass.getpass(f"password of {name}: "))
    except ValueError as error:
        sys.stderr.write(f"framewatch: {error}\n")
        return 2
    others = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    kept = [other for other in others if not other.startswith(f"{name}:")]
    beside = path.with_name(f"{path.name}.new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join([*kept, line]) + "\n")
    beside.replace(path)  # whole or not at all
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
