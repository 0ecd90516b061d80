"""From the configuration to sinks. Libraries are loaded for those that are configured only."""

import importlib.util
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from monitor.alarms.alarm import SERVICE_SOURCES, SOURCE_PRIORITIES, STOP, Alarm
from monitor.sinks.config import Command, Mqtt, Options, Sinks, Tls, Webhook
from monitor.sinks.dispatch import Route
from monitor.sinks.opcua.settings import Opcua
from monitor.sinks.pump import SystemClock
from monitor.sinks.retry import Policy
from monitor.sinks.secret import read_password
from monitor.sinks.sink import Sink, SinkError
from monitor.vitals import PRIORITIES

if TYPE_CHECKING:  # these load libraries
    from monitor.sinks.mqtt import Broker
    from monitor.sinks.opcua.methods import Operator

PORT, TLS_PORT = 1883, 8883
DAY_S = 86_400.0


class Filter:
    """Which alarms a sink gets. An alarm's priority only rises and its group stays: one that came once stays wanted."""

    def __init__(self, config: Options) -> None:
        self._sources = frozenset(config.sources)
        self._from = PRIORITIES.index(config.min_priority)

    def __call__(self, alarm: Alarm) -> bool:
        wanted = alarm.source in self._sources or group_of(alarm.source) in self._sources
        return wanted and PRIORITIES.index(alarm.priority) >= self._from


def group_of(source: str) -> str:
    """`charts`, `rates`, `camera` or `service`."""
    if source in SERVICE_SOURCES:
        return "service"
    if source in SOURCE_PRIORITIES and source != STOP:  # a stop is what the charts show, too
        return "camera"
    return "rates" if source == "exceedance_rate" else "charts"


def routes(config: Sinks, camera: str) -> list[Route]:
    """The sinks of *config* for the alarms of *camera*. Raises SinkError where one cannot work as configured."""
    chosen = (*config.webhooks, *config.mqtt, *config.commands)
    return [
        Route(sink, Filter(one), Policy(max_age_s=one.max_age_s))
        for one, sink in zip(chosen, _sinks(config, camera), strict=True)
    ]


def opcua_route(config: Opcua, camera: str, operator: "Operator", waiting: Callable[[], Sequence[Alarm]]) -> Route:
    """The OPC UA server, which is told every change. Raises SinkError where it cannot work as configured."""
    if importlib.util.find_spec("asyncua") is None:
        raise SinkError("opcua: needs asyncua; install it with pip install 'framewatch[opcua]'")
    from monitor.sinks.opcua.route import OpcuaRoute
    from monitor.sinks.opcua.sink import OpcuaSink

    try:
        with socket.create_server((config.host, config.port)):
            pass  # whether the address can be had; the server itself is built while the daemon already works
    except OSError as error:
        raise SinkError(f"opcua.port: cannot listen at {config.host}:{config.port} ({error.strerror})") from None
    server = OpcuaSink(config, camera, operator)
    return Route(OpcuaRoute(server, waiting), lambda _: True, Policy(max_age_s=DAY_S))


def _sinks(config: Sinks, camera: str) -> Iterator[Sink]:
    yield from (_webhook(one) for one in config.webhooks)
    yield from (_mqtt(one, camera) for one in config.mqtt)
    yield from (_command(one) for one in config.commands)


def _webhook(config: Webhook) -> Sink:
    from monitor.sinks.webhook import WebhookSink, secret_of, trust

    secret, tls = secret_of(config.name, config.secret_file), trust(config.name, config.ca_file)
    return WebhookSink(config.name, config.url, config.timeout_s, secret, tls, time.time)


def _command(config: Command) -> Sink:
    from monitor.sinks.command import CommandSink

    return CommandSink(config.name, config.command, config.timeout_s)


def _mqtt(config: Mqtt, camera: str) -> Sink:
    broker = broker_of(config, camera)
    from monitor.sinks.mqtt import MqttSink

    return MqttSink(config.name, broker, config.prefix, camera, config.timeout_s, SystemClock())


def broker_of(config: Mqtt, camera: str) -> "Broker":
    """The broker of *config*, and who we are there. Raises SinkError where that is not to be had."""
    key = f"sinks.mqtt '{config.name}'"
    if importlib.util.find_spec("aiomqtt") is None:
        raise SinkError(f"{key}: needs aiomqtt; install it with pip install 'framewatch[mqtt]'")
    from monitor.sinks.mqtt import Broker

    return Broker(
        host=config.host,
        port=config.port or (PORT if config.tls is None else TLS_PORT),
        client_id=config.client_id or f"framewatch-{camera}-{socket.gethostname()}",
        user=config.user,
        password=None if config.password_file is None else read_password(config.password_file, f"{key}: password_file"),
        tls=None if config.tls is None else _tls(config.tls, key),
    )


def _tls(config: Tls, key: str) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=config.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"{key}: tls.ca_file: {config.ca_file} cannot be used: {error}") from None
    if config.cert_file is None:
        return context
    try:
        context.load_cert_chain(config.cert_file, config.key_file)
    except (OSError, ssl.SSLError) as error:
        raise SinkError(f"{key}: tls.cert_file: {config.cert_file} cannot be used: {error}") from None
    return context
