"""The OPC UA server as the daemon uses it: alarms and what is said go in, what operators do comes out."""

import asyncio
import errno
import logging
import socket
from pathlib import Path

from asyncua import ua

from monitor.alarms.alarm import SOURCES, Alarm
from monitor.sinks.opcua import certificate, users
from monitor.sinks.opcua.board import Board
from monitor.sinks.opcua.delivery import Delivery
from monitor.sinks.opcua.methods import Methods, Operator
from monitor.sinks.opcua.nodes import NAMESPACE, Nodes
from monitor.sinks.opcua.peers import BoundedServer, Doorman, Listening
from monitor.sinks.opcua.readings import Readings
from monitor.sinks.opcua.settings import Opcua, OpcuaError
from monitor.voice import Heartbeat, Permit

_log = logging.getLogger(__name__)


class OpcuaSink:
    """A server for one camera. `start` it, `send` and `say` in the same event loop, `stop` it.

    Neither `send` nor `say` waits for any client. Both raise what ended the timer that lets the permit run out, if
    anything did: without it nothing here may be trusted.
    """

    def __init__(self, settings: Opcua, camera: str, operator: Operator) -> None:
        self._settings = settings
        self._camera = camera
        self._operator = operator
        self._server: Listening | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None, "it was not started"
        assert self._server.bserver is not None
        host = self._settings.host
        return f"opc.tcp://{f'[{host}]' if ':' in host else host}:{self._server.bserver.port}/framewatch"

    async def start(self) -> None:
        """Build the address space, some two seconds, mostly in a thread, and listen. Raises OpcuaError."""
        if not _log.isEnabledFor(logging.DEBUG):  # it logs every mistake of a peer, with a trace
            logging.getLogger("asyncua").setLevel(logging.CRITICAL)
        server = await self._secured()
        await self._fill(server)
        try:
            await server.start()
        except OSError as error:
            where = f"{self._settings.host}:{self._settings.port}"
            if error.errno == errno.EADDRINUSE:
                raise OpcuaError(f"opcua.port: {self._settings.port} is in use; choose another") from None
            raise OpcuaError(f"opcua.host: cannot listen at {where} ({error.strerror or error})") from None
        self._server = server
        self._watch = asyncio.create_task(self._readings.watch())
        _log.info("OPC UA at %s", self.url)

    async def send(self, alarm: Alarm) -> None:
        """Tell a revision of *alarm*; one told already tells nothing. After a restart, send again what is open."""
        self._check()
        await self._board.show(alarm)

    async def say(self, message: Heartbeat | Permit) -> None:
        """Show *message* in the variables, for as long as it is young enough."""
        self._check()
        await self._readings.say(message)

    async def stop(self) -> None:
        """End all connections. It takes no longer for clients that do not listen."""
        if self._watch is not None:
            self._watch.cancel()
        if self._server is not None:
            await self._server.stop()
            self._server = None

    def _check(self) -> None:
        if self._watch is not None and self._watch.done() and not self._watch.cancelled():
            self._watch.result()

    async def _secured(self) -> Listening:
        """The library's server, empty, with its security."""
        settings = self._settings
        known = users.Doorman({} if settings.users is None else users.read(Path(settings.users)))
        iserver = BoundedServer(Doorman(known.knows, settings.open), settings.max_clients, settings.open)
        server = Listening(iserver)
        await server.init()
        uri = f"urn:{socket.gethostname()}:framewatch:{self._camera}"
        await server.set_application_uri(uri)
        server.product_uri, server.manufacturer_name, server.application_type = (
            NAMESPACE,
            "framewatch",
            ua.ApplicationType.Server,
        )
        server.set_server_name("framewatch")
        server.set_endpoint(f"opc.tcp://{settings.host}:{settings.port}/framewatch")
        server.socket_address = (settings.host, settings.port)
        policies = [ua.SecurityPolicyType.NoSecurity] if settings.open else []
        if settings.certificate is not None and settings.key is not None:
            pair = Path(settings.certificate), Path(settings.key)
            loaded = await asyncio.to_thread(certificate.load, *pair, uri, settings.host)  # making a key takes a while
            iserver.certificate, iserver.private_key = loaded
            policies.append(ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt)
        server.set_security_policy(policies)
        anonymous = [ua.AnonymousIdentityToken] if settings.open else []
        named = [ua.UserNameIdentityToken] if settings.users is not None else []
        server.set_identity_tokens([*anonymous, *named])
        return server

    async def _fill(self, server: Listening) -> None:
        """Add our part of the address space, and what answers for it."""
        iserver = server.iserver
        nodes = Nodes(server, await server.register_namespace(NAMESPACE), self._camera)
        await nodes.build()
        self._readings = Readings(iserver, nodes.variables)
        await self._readings.begin()
        iserver.freshen = self._readings.freshen
        self._board = Board(nodes, Delivery(iserver, nodes.notifiers), self._settings.max_shelve_s)
        self._board.on_condition = Methods(iserver, nodes, self._board, self._operator, self._settings).add
        for source in SOURCES:  # for clients that browse before anything happens
            await self._board.add(source)
