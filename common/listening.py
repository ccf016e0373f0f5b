"""Whether a process can listen where its settings say, before it does anything else."""

from __future__ import annotations

import os
import socket

from common.config import host_and_port
from common.errors import SettingsError


def check_is_free(bind: str, variable: str) -> None:
    """Listen for a moment at `bind`, an address and a port.

    Raises:
        SettingsError: something listens there, or the address is not of this machine; it names the setting `variable`.
    """
    host, port = host_and_port(bind)
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise SettingsError(f"{variable}: cannot listen on {host}, port {port}: {why}.") from None
