"""Free TCP ports on loopback, reserved until the service that will use them listens.

Between choosing a port and listening on it another starter could choose the same one: another clone, another user. So
a port is held by an abstract Unix socket of its name. Such a name exists once per machine (and per network namespace,
exactly like the ports themselves), leaves no file, and is gone with its owner, however that ended.
"""

import errno
import random
import socket
from collections.abc import Callable
from typing import Self

from deploy.local.errors import LocalServiceError

# Below the ephemeral range (32768-60999), so that no outgoing connection takes the port in between, and clear of the
# defaults of RabbitMQ (4369, 5672, 15672, 25672) and PostgreSQL (5432), which belong to the machine's own services.
FIRST, LAST = 26000, 32700
_ATTEMPTS = 500


class Reservation:
    """Ports that nobody else of this project takes, until `release` or the end of this process."""

    def __init__(self, count: int, *, draw: Callable[[], int] = lambda: random.randint(FIRST, LAST)) -> None:
        self._holds: dict[int, socket.socket] = {}
        for _ in range(_ATTEMPTS):
            if len(self._holds) == count:
                return
            self._try(draw())
        self.release()
        raise LocalServiceError(f"No {count} free ports were found between {FIRST} and {LAST}; end what uses them.")

    @property
    def ports(self) -> list[int]:
        return list(self._holds)

    def release(self) -> None:
        while self._holds:
            self._holds.popitem()[1].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _try(self, port: int) -> None:
        hold = socket.socket(socket.AF_UNIX)
        try:
            hold.bind(f"\0entra-sms-sync-port-{port}")
        except OSError:
            hold.close()
            return
        if _is_free(port):
            self._holds[port] = hold
        else:
            hold.close()


def _is_free(port: int) -> bool:
    """Whether all addresses are free: epmd listens on both loopbacks, and a service elsewhere may hold just one."""
    for family, address in ((socket.AF_INET, ""), (socket.AF_INET6, "::")):
        try:
            with socket.socket(family) as probe:
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False  # any other error says that this machine has no IPv6
    return True
