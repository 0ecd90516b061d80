"""Key files: CURVE key pairs, the folder of those who may connect, and files that only their owner may read.

A file is plain text: lines that begin with `#` are comments (no key does), and one other line holds 40 letters of Z85.
"""

import os
import stat
import struct
from pathlib import Path
from typing import Final, NamedTuple

import zmq
from zmq.utils import z85

from monitor.config import Security

SECRET, PUBLIC = ".secret", ".public"
KEY_LETTERS: Final = 40
OWNER_ONLY: Final = 0o600
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
FILE_BYTES_MAX: Final = 4096

CREDENTIALS: Final = Path("/run/credentials")
"""Where systemd puts what `LoadCredential=` names. It lets a service in by an access list, which the mode shows as
rights of the group; the folder keeps everybody else out."""


class KeyFileError(ValueError):
    """A key or token file that cannot be used: one line that names it and says what to do. It never holds the key."""


class Pair(NamedTuple):
    """A CURVE key pair in Z85, 40 letters each."""

    public: bytes
    secret: bytes

    def __repr__(self) -> str:
        return f"Pair({self.public.decode()})"  # the secret is not to be shown, wherever this should be printed


class Credentials(NamedTuple):
    """How a socket proves itself: a client knows the public key of its *server*, a server has a folder *clients*."""

    own: Pair
    server: bytes | None = None
    clients: Path | None = None


def of_daemon(security: Security) -> Credentials | None:
    """What the daemon proves itself by; None: it has no key. Raises KeyFileError, also for a folder that is unfit."""
    if security.secret is None:
        return None
    if security.clients and (faults := read_folder(Path(security.clients))[1]):
        raise faults[0]
    return Credentials(
        read_secret(Path(security.secret)),
        read_public(Path(security.camera_key)) if security.camera_key else None,
        Path(security.clients) if security.clients else None,
    )


def make(name: str, folder: Path) -> tuple[Path, Path]:
    """Write the files of a new pair, secret and public, and return their paths.

    Raises KeyFileError where one of them is there already, OSError where the folder cannot be written.
    """
    secret, public = folder / (name + SECRET), folder / (name + PUBLIC)
    for path in (secret, public):
        if path.exists():
            raise KeyFileError(f"{path}: is there already and is not overwritten; choose another name or remove it")
    public_key, secret_key = zmq.curve_keypair()
    write_private(
        secret, f"# Secret key of {name}: it stays on this machine, and nobody but its owner reads it.\n", secret_key
    )
    text = f"# Public key of {name}: give it to whoever is to know {name}.\n{public_key.decode()}\n"
    with public.open("x") as file:
        file.write(text)
    return secret, public


def write_private(path: Path, comment: str, content: bytes) -> None:
    """Write a file that only its owner may read. Raises KeyFileError where it is there already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNER_ONLY)
    except FileExistsError:
        raise KeyFileError(f"{path}: is there already and is not overwritten; choose another or remove it") from None
    with os.fdopen(handle, "wb") as file:
        file.write(comment.encode() + content + b"\n")


def read_private(path: Path) -> str:
    """The one line that a private file holds. Raises KeyFileError, also where others than its owner may read it."""
    return _line(path, private=True)


def read_secret(path: Path) -> Pair:
    """The pair whose secret key is in the file *path*. Raises KeyFileError."""
    if path.suffix == PUBLIC:
        raise KeyFileError(f"{path}: is a public key; name the {SECRET} file of the pair")
    secret = _key(path, read_private(path))
    return Pair(zmq.curve_public(secret), secret)


def read_public(path: Path) -> bytes:
    """The public key in the file *path*. Raises KeyFileError."""
    if path.suffix == SECRET:
        raise KeyFileError(f"{path}: is a secret key; name the {PUBLIC} file of the pair")
    return _key(path, _line(path, private=False))


def read_folder(folder: Path) -> tuple[dict[bytes, Path], list[KeyFileError]]:
    """Public key -> its file, of every *.public in *folder*, and what is wrong with the folder or with one of them."""
    if not folder.is_dir():
        what = f"{folder}: is no folder; make it and put the *{PUBLIC} files of who may connect into it"
        return {}, [KeyFileError(what)]
    keys, faults = {}, []
    try:
        paths = sorted(folder.glob("*" + PUBLIC))
    except OSError as error:  # it went away between the two looks
        return {}, [KeyFileError(f"{folder}: {error.strerror}")]
    for path in paths:
        try:
            keys[read_public(path)] = path
        except KeyFileError as error:
            faults.append(error)
    return keys, faults


def use_as_client(socket: "zmq.Socket[bytes]", own: Pair, server: bytes) -> None:
    """Let *socket* speak CURVE with the one peer that holds *server*'s secret key. Before it is opened."""
    socket.curve_publickey, socket.curve_secretkey = own
    socket.curve_serverkey = server


def _line(path: Path, private: bool) -> str:
    try:
        with path.open("rb") as file:
            if private and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & forbidden_to_others(path):
                raise KeyFileError(f"{path}: others than its owner may read it; chmod 600 {path}")
            text = file.read(FILE_BYTES_MAX).decode("ascii", "replace")
    except OSError as error:
        raise KeyFileError(f"{path}: {error.strerror}; make one with 'framewatch keys'") from None
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("#")]
    if len(lines) != 1:
        raise KeyFileError(f"{path}: holds {len(lines)} lines besides comments, not 1; make one with 'framewatch keys'")
    return lines[0]


def forbidden_to_others(path: Path) -> int:
    """The rights that the private file *path* must not give."""
    given = os.environ.get("CREDENTIALS_DIRECTORY")
    folders = [CREDENTIALS, *([Path(given)] if given else [])]
    return stat.S_IRWXO if any(path.is_relative_to(folder) for folder in folders) else OTHERS


def _key(path: Path, line: str) -> bytes:
    key = line.encode("ascii", "replace")
    try:
        fits = len(key) == KEY_LETTERS and len(z85.decode(key)) == KEY_LETTERS * 4 // 5
    except (KeyError, ValueError, struct.error):
        fits = False
    if not fits:
        raise KeyFileError(f"{path}: holds no key of {KEY_LETTERS} letters; make one with 'framewatch keys new NAME'")
    return key
