"""The lab's own piece of the loopback network, so that two labs and their real ports never meet."""

import itertools
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

API_PORT = 4566
SECOND_OCTETS = range(64, 127)
HOSTS_PER_BLOCK = 254
# Third octets of 127.X.*.*: each kind of resource has its own, so that an address tells what answers there.
BLOCKS = {"api": 0, "load-balancer": 1, "database": 2, "instance": 16}


class NoFreeNetwork(RuntimeError):
    """Every 127.X.0.1:4566 is taken: too many labs run on this machine."""


@dataclass
class Network:
    second_octet: int
    _next: dict[str, Iterator[int]] = field(default_factory=dict)
    _named: dict[tuple[str, str], str] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def address(self, kind: str) -> str:
        """A loopback address that nothing in this lab has had before."""
        with self._lock:
            number = next(self._next.setdefault(kind, itertools.count()))
        block, host = divmod(number, HOSTS_PER_BLOCK)
        return f"127.{self.second_octet}.{BLOCKS[kind] + block}.{host + 1}"

    def address_of(self, kind: str, name: str) -> str:
        """What a DNS name would resolve to: always the same, whoever bears the name."""
        if (kind, name) not in self._named:
            self._named[kind, name] = self.address(kind)
        return self._named[kind, name]


def claim_network() -> tuple[Network, socket.socket]:
    """Take the first free network. The listening socket of its API address is the claim."""
    for octet in SECOND_OCTETS:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((f"127.{octet}.0.1", API_PORT))
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        network = Network(octet)
        network.address("api")
        return network, listener
    raise NoFreeNetwork(f"no free address 127.{SECOND_OCTETS[0]}-{SECOND_OCTETS[-1]}.0.1:{API_PORT}")


def can_listen(address: str, port: int) -> bool:
    """Whether this process may and can open `address:port` now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
    return True
