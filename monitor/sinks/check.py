"""Whether each sink could do its work: whom it would speak to is called up, and told of no alarm.

What is found names hosts, ports and files, never a secret: of a webhook's address the path may be one.
"""

import asyncio
import queue
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from monitor.finding import Finding, open_to_others
from monitor.sinks.build import broker_of, routes
from monitor.sinks.config import Command, Mqtt, Sinks, Webhook
from monitor.sinks.sink import SinkError

if TYPE_CHECKING:  # it loads the library
    from monitor.sinks.mqtt import Broker

LIMIT_S: Final = 6.0
"""For all of one sink: name, connection, greeting."""

CONNECT_S: Final = 3.0

Answer = TypeVar("Answer")


class DoubtError(Exception):
    """The daemon starts with such a sink, and its alarms wait until that is mended."""

    def __init__(self, found: str, remedy: str) -> None:
        super().__init__(found)
        self.found, self.remedy = found, remedy


def examine(config: Sinks, camera: str) -> Iterator[Finding]:
    """A finding for each sink, and one for each of its secret files that others may open."""
    for webhook in config.webhooks:
        key = f"sinks.webhooks '{webhook.name}'"
        yield _finding(key, Sinks(webhooks=(webhook,)), camera, partial(_webhook, webhook))
        yield from open_to_others(key, webhook.secret_file)
    for mqtt in config.mqtt:
        key = f"sinks.mqtt '{mqtt.name}'"
        yield _finding(key, Sinks(mqtt=(mqtt,)), camera, partial(_mqtt, mqtt, camera))
        yield from open_to_others(key, mqtt.password_file, None if mqtt.tls is None else mqtt.tls.key_file)
    for command in config.commands:
        key = f"sinks.commands '{command.name}'"
        yield _finding(key, Sinks(commands=(command,)), camera, partial(_command, command))


def _finding(key: str, alone: Sinks, camera: str, look: Callable[[], str]) -> Finding:
    try:
        routes(alone, camera)
        return Finding(key, "ok", within(LIMIT_S, look))
    except SinkError as error:
        found = str(error).removeprefix(f"{key}: ")
        return Finding(key, "fault", found, "mend that, or take the sink out; the daemon does not start with it")
    except DoubtError as doubt:
        return Finding(key, "warning", doubt.found, f"{doubt.remedy}; until then its alarms wait")
    except TimeoutError:
        return Finding(key, "warning", f"no answer within {LIMIT_S:g} s", "look at the network and its name server")


def _webhook(config: Webhook) -> str:
    """Raises DoubtError. The connection is closed before anything of HTTP is said."""
    import httpx

    from monitor.sinks.webhook import trust

    url = httpx.URL(config.url)
    secure, host = url.scheme == "https", url.host
    port = url.port or (443 if secure else 80)
    with _reached(host, port) as connection:
        if not secure:
            return f"{host}:{port} can be reached"
        _prove(connection, host, port, trust(config.name, config.ca_file), "ca_file")
        return f"{host}:{port} can be reached and proves who it is"


def _mqtt(config: Mqtt, camera: str) -> str:
    """Raises DoubtError."""
    broker = broker_of(config, camera)
    with _reached(broker.host, broker.port) as connection:
        if broker.tls is not None:
            _prove(connection, broker.host, broker.port, broker.tls, "tls.ca_file")
    asyncio.run(_log_in(broker))
    return f"{broker.host}:{broker.port} lets us in as {broker.user or 'nobody in particular'}"


async def _log_in(broker: "Broker") -> None:
    """Under another name at the broker than the daemon's, whose connection would be cut off; without a last will."""
    import aiomqtt

    from monitor.sinks.link import Link

    link = Link(
        broker.host,
        broker.port,
        identifier=f"{broker.client_id}-doctor",
        username=broker.user,
        password=broker.password,
        tls_context=broker.tls,
        protocol=aiomqtt.ProtocolVersion.V5,
        clean_start=True,
        timeout=CONNECT_S,
    )
    try:
        async with link:
            pass
    except (aiomqtt.MqttError, OSError) as error:
        where = f"{broker.host}:{broker.port}"
        if isinstance(error, aiomqtt.MqttCodeError):
            who = "anonymous clients" if broker.user is None else f"the user '{broker.user}'"
            problem, remedy = f"does not let {who} in: {error}", "mend user and password_file, or the broker"
        else:
            problem, remedy = f"does not answer as an MQTT 5 broker does: {error}", "mend host and port, or tls"
        raise DoubtError(f"{where} {problem}", remedy) from None


def _command(config: Command) -> str:
    from monitor.sinks.command import PATH

    return f"{shutil.which(config.command[0], path=PATH)} can be started"


def _reached(host: str, port: int) -> socket.socket:
    """A connection. Raises DoubtError."""
    try:
        return socket.create_connection((host, port), CONNECT_S)
    except (socket.gaierror, UnicodeError):
        raise DoubtError(f"nobody knows the name {host}", "mend the name, or this machine's name server") from None
    except OSError as error:
        problem = f"{host}:{port} cannot be reached ({error.strerror or error})"
        raise DoubtError(problem, "start what should listen there, or mend host and port") from None


def _prove(connection: socket.socket, host: str, port: int, trusted: ssl.SSLContext, key: str) -> None:
    """Raises DoubtError."""
    try:
        trusted.wrap_socket(connection, server_hostname=host).close()
    except ssl.SSLCertVerificationError as error:
        problem = f"{host}:{port} does not prove who it is ({error.verify_message})"
        raise DoubtError(problem, f"name in {key} who vouches for it, or mend its certificate") from None
    except OSError as error:
        problem = f"{host}:{port} speaks no TLS ({error.strerror or error})"
        raise DoubtError(problem, "mend the port, or leave TLS out") from None


def within(limit_s: float, work: Callable[[], Answer]) -> Answer:
    """What *work* gives or raises; TimeoutError where it takes longer: it then ends with the process."""
    done: queue.Queue[tuple[Answer | None, Exception | None]] = queue.Queue()

    def run() -> None:
        try:
            done.put((work(), None))
        except Exception as error:
            done.put((None, error))

    threading.Thread(target=run, daemon=True).start()
    try:
        answer, error = done.get(timeout=limit_s)
    except queue.Empty:
        raise TimeoutError from None
    if error is not None:
        raise error
    return answer  # type: ignore[return-value]  # that of `work`
