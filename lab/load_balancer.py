"""The load balancer's own process: python -m lab.load_balancer ADDRESS CONTROL_PORT [SHARED_PORT].

The elbv2 part posts what the load balancer should be to the control port and gets what it is.
"""

import asyncio
import logging
import signal
import socket
import ssl
import sys
from typing import Any

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web

from lab.listener import Listener, Metrics
from lab.target_group import TargetGroup

BACKLOG = 1024
TLS_HANDSHAKE = b"\x16"
HELLO_SECONDS = 60.0

log = logging.getLogger("lab.load_balancer")


class Door:
    """One listening socket. It asks for the listener of each new connection, so that listeners can change."""

    def __init__(self, address: str, port: int, balancer: "LoadBalancer") -> None:
        self.port = port
        self._balancer = balancer
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((address, port))
        self._socket.listen(BACKLOG)
        self._socket.setblocking(False)
        self._greetings: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.create_task(self._accept())

    def close(self) -> None:
        self._accepting.cancel()
        self._socket.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._socket)
            except OSError:  # out of file descriptors, or gone before it was taken
                await asyncio.sleep(0.05)
                continue
            greeting = asyncio.create_task(self._greet(connection))
            self._greetings.add(greeting)
            greeting.add_done_callback(self._greetings.discard)

    async def _greet(self, connection: socket.socket) -> None:
        try:
            listener = await self._listener_for(connection)
            if listener is None:
                connection.close()
                return
            self._balancer.metrics.counts["NewConnectionCount", ""] += 1
            loop = asyncio.get_running_loop()
            await loop.connect_accepted_socket(listener.server, connection, ssl=listener.tls)
        except (OSError, TimeoutError, ssl.SSLError):
            self._balancer.metrics.counts["ClientTLSNegotiationErrorCount", ""] += 1
            connection.close()

    async def _listener_for(self, connection: socket.socket) -> Listener | None:
        if self.port != self._balancer.shared_port:
            return self._balancer.listener_on(self.port)
        first = await asyncio.wait_for(peek(connection), HELLO_SECONDS)
        return self._balancer.listener_speaking("HTTPS" if first == TLS_HANDSHAKE else "HTTP")


async def peek(connection: socket.socket) -> bytes:
    """The first byte that the client sends, left where it is."""
    connection.setblocking(False)
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        await readable.wait()
        return connection.recv(1, socket.MSG_PEEK)
    finally:
        loop.remove_reader(connection)


class LoadBalancer:
    def __init__(self, address: str, shared_port: int | None, session: ClientSession) -> None:
        self.address = address
        self.shared_port = shared_port
        self.session = session
        self.metrics = Metrics()
        self.listeners: dict[str, Listener] = {}
        self.target_groups: dict[str, TargetGroup] = {}
        self.doors: dict[int, Door] = {}
        self._certificates: dict[str, str] = {}

    def listener_on(self, port: int) -> Listener | None:
        return next((one for one in self.listeners.values() if one.port == port), None)

    def listener_speaking(self, protocol: str) -> Listener | None:
        """On the shared port: the listener of this protocol with the lowest port."""
        fitting = [one for one in self.listeners.values() if one.protocol == protocol]
        return min(fitting, key=lambda one: one.port, default=None)

    def apply(self, state: dict[str, Any]) -> None:
        self._apply_target_groups(state["target_groups"])
        self._apply_listeners(state["listeners"], state["idle_timeout"])
        wanted = {self.shared_port} if self.shared_port else {one.port for one in self.listeners.values()}
        for port in self.doors.keys() - wanted:
            self.doors.pop(port).close()
        for port in wanted - self.doors.keys():
            try:
                self.doors[port] = Door(self.address, port, self)
            except OSError as error:
                log.error("cannot listen on %s:%d: %s", self.address, port, error)

    def _apply_target_groups(self, wanted: dict[str, Any]) -> None:
        for arn in self.target_groups.keys() - wanted.keys():
            self.target_groups.pop(arn).close()
        for arn, settings in wanted.items():
            self.target_groups.setdefault(arn, TargetGroup(self.session)).apply(settings)

    def _apply_listeners(self, wanted: dict[str, Any], idle_timeout: float) -> None:
        for arn in self.listeners.keys() - wanted.keys():
            gone = self.listeners.pop(arn)
            asyncio.get_running_loop().create_task(gone.server.shutdown(1.0))
        ports = frozenset(state["port"] for state in wanted.values())
        for arn, state in wanted.items():
            listener = self.listeners.get(arn) or Listener(
                self.session,
                self.target_groups,
                self.metrics,
                shared_port=self.shared_port,
                idle_timeout=idle_timeout,
            )
            try:
                listener.apply(state, idle_timeout, ports)
            except (OSError, ssl.SSLError) as error:
                log.error("listener %s: %s", arn, error)
                continue
            self.listeners[arn] = listener

    def observed(self) -> dict[str, Any]:
        connections = sum(len(one.server.connections) for one in self.listeners.values())
        targets = {arn: group.observed() for arn, group in self.target_groups.items()}
        in_flight = sum(one["in_flight"] for group in targets.values() for one in group.values())
        return {
            "targets": targets,
            "listening": sorted(self.doors),
            "active_connections": connections + in_flight,
            "metrics": self.metrics.take(),
        }


def control_channel(balancer: LoadBalancer) -> web.Application:
    async def exchange(request: web.Request) -> web.Response:
        balancer.apply(await request.json())
        return web.json_response(balancer.observed())

    application = web.Application(client_max_size=64 * 2**20)
    application.router.add_post("/", exchange)
    return application


async def serve(address: str, control_port: int, shared_port: int | None) -> None:
    stopped = asyncio.Event()
    for wanted in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wanted, stopped.set)
    # No connection to a target is used twice: none is closed by the target while a request is on its way.
    connector = TCPConnector(limit=0, force_close=True)
    async with ClientSession(connector=connector, auto_decompress=False, cookie_jar=DummyCookieJar()) as session:
        runner = web.AppRunner(control_channel(LoadBalancer(address, shared_port, session)), access_log=None)
        await runner.setup()
        await web.TCPSite(runner, address, control_port).start()
        await stopped.wait()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    shared = int(sys.argv[3]) if len(sys.argv) > 3 else None
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), shared))
