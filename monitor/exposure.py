"""What others on the network could reach without proving who they are: refused at start, told by the doctor."""

import ipaddress
from collections.abc import Iterator

from monitor.config import Config, Security
from monitor.yamlfile import ConfigError

LOOPBACK_NAMES = ("localhost", "lo")  # ZeroMQ takes the name of an interface as well


def refuse(config: Config, source: str) -> None:
    """Raise ConfigError, in one line, where *config* opens a door without a lock and does not say so in words.

    *source* is its file, for the message.
    """
    found = next(exposed(config), None)
    if found and not config.security.insecure:
        raise ConfigError(f"{source}: {found}")


def refuse_bind(key: str, endpoint: str, security: Security) -> None:
    """The same for one address that is to be bound and stands under *key*."""
    if not (security.clients or security.insecure or is_local(endpoint)):
        raise ConfigError(_unlocked(key, endpoint))


def refuse_camera(endpoint: str, *, keyed: bool, insecure: bool) -> None:
    """The same for a camera of ours that is to bind *endpoint*: *keyed* if it asks for keys."""
    if not (keyed or insecure or is_local(endpoint)):
        raise ConfigError(
            f"--endpoint: {endpoint} can be reached from other machines and asks for no key; give --secret and "
            "--clients ('framewatch keys new NAME'), use 127.0.0.1, or say --insecure"
        )


def exposed(config: Config) -> Iterator[str]:
    """A line for each address of *config* beyond loopback that asks for neither key nor token."""
    bound = config.outputs.bound
    if config.input.bind:
        bound = {"input.endpoint": config.input.endpoint, **bound}
    for key, endpoint in bound.items():
        if not (config.security.clients or is_local(endpoint)):
            yield _unlocked(key, endpoint)
    if not (config.http.token_file or is_loopback(config.http.host)):
        yield (
            f"http.host: {config.http.host} can be reached from other machines and there is no token; set "
            "http.token_file ('framewatch keys token --out FILE'), use 127.0.0.1, or say security.insecure: true"
        )


def _unlocked(key: str, endpoint: str) -> str:
    return (
        f"{key}: {endpoint} can be reached from other machines and asks for no key; set security.secret and "
        "security.clients ('framewatch keys new NAME'), use 127.0.0.1, or say security.insecure: true"
    )


def is_local(endpoint: str) -> bool:
    """Whether only this machine reaches the ZeroMQ address *endpoint*."""
    scheme, _, rest = endpoint.partition("://")
    return scheme != "tcp" or is_loopback(rest.rpartition(":")[0].strip("[]"))


def is_loopback(host: str) -> bool:
    """Whether *host* is this machine and nothing else. Names are not looked up: what they mean may change."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in LOOPBACK_NAMES
