"""How a connection to RabbitMQ is made: named, with heartbeats, never waiting for ever."""

from __future__ import annotations

import os
import platform
import socket
from urllib.parse import urlsplit

import pika

from common import __version__
from common.broker import trouble
from common.config import Settings
from common.errors import BrokerUnavailableError, SettingsError

PRODUCT = "entra-sms-sync"
HEARTBEAT_SECONDS = 20
CONNECT_SECONDS = 5
UNMENDED_SECONDS = 15.0
"""Between two tries while the broker has something that only a person can mend."""


def process_name(process: str) -> str:
    """Return what the management UI calls a process, e.g. ``worker@host:4711``."""
    return f"{process}@{socket.gethostname()}:{os.getpid()}"


def parameters(settings: Settings, name: str) -> pika.URLParameters:
    """Return pika's parameters for a connection that the management UI shows as `name`.

    Raises:
        SettingsError: the address is none.
    """
    address = settings.amqp_url.get_secret_value()
    try:
        if urlsplit(address).scheme not in ("amqp", "amqps"):
            raise ValueError("not AMQP")
        result = pika.URLParameters(address)
    except Exception:  # noqa: BLE001 - pika reads options in the address with whatever error comes of it
        raise SettingsError(
            "ENTRA_SMS_AMQP_URL is no AMQP address; it looks like amqp://user:password@host:5672/%2F."
        ) from None
    result.heartbeat = HEARTBEAT_SECONDS
    result.socket_timeout = CONNECT_SECONDS
    result.stack_timeout = CONNECT_SECONDS
    result.blocked_connection_timeout = 2 * HEARTBEAT_SECONDS
    result.client_properties = _introduction(name)
    return result


def connect(found: pika.URLParameters) -> pika.BlockingConnection:
    """Return an open connection.

    Raises:
        BrokerUnavailableError: there is none to be had; with the address and the reason.
    """
    try:
        return pika.BlockingConnection(found)
    except Exception as error:
        if not trouble.is_trouble(error):
            raise
        raise BrokerUnavailableError(trouble.sentence(found, error)) from None


def _introduction(name: str) -> dict[str, str]:
    """Return what the management UI shows of the one who connects; where we say nothing, pika speaks of itself."""
    return {
        "connection_name": name,
        "product": PRODUCT,
        "version": __version__,
        "information": "Keeps the address book of an SMS platform equal to Microsoft Entra ID.",
        "platform": f"Python {platform.python_version()}, pika {pika.__version__}",
    }
