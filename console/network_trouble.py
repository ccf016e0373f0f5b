"""Why a server could not be spoken to, from whatever exception a library made of it."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator
from enum import Enum

import requests


class NetworkTrouble(Enum):
    """A kind of trouble; its value says it of a server."""

    UNKNOWN_NAME = "its name is not known here (DNS)"
    REFUSED = "nobody listens there"
    SILENT = "it does not answer"
    CUT = "it closes the connection without an answer"
    OTHER_NAME = "its certificate is made out to another name"
    OUT_OF_DATE = "its certificate has expired, or is not valid yet"
    UNTRUSTED = "its certificate is not signed by an authority that is trusted, or the chain is incomplete"
    NO_TLS = "it does not speak TLS as it should"
    OTHER = "the network does not get there"


_CERTIFICATES = {
    62: NetworkTrouble.OTHER_NAME,
    64: NetworkTrouble.OTHER_NAME,
    9: NetworkTrouble.OUT_OF_DATE,
    10: NetworkTrouble.OUT_OF_DATE,
}
"""OpenSSL's X509_V_ERR_HOSTNAME_MISMATCH, _IP_ADDRESS_MISMATCH, _CERT_NOT_YET_VALID and _CERT_HAS_EXPIRED."""

_KINDS: tuple[tuple[tuple[type[BaseException], ...], NetworkTrouble], ...] = (
    ((ssl.SSLEOFError, ConnectionResetError, BrokenPipeError, http.client.RemoteDisconnected), NetworkTrouble.CUT),
    ((ssl.SSLError,), NetworkTrouble.NO_TLS),
    ((socket.gaierror,), NetworkTrouble.UNKNOWN_NAME),
    ((ConnectionRefusedError,), NetworkTrouble.REFUSED),
    ((TimeoutError, requests.Timeout), NetworkTrouble.SILENT),
)


def kind(error: BaseException) -> NetworkTrouble:
    """Return what kind of trouble `error` tells of, or one of its causes."""
    found = (_kind(one) for one in _causes(error))
    return next((one for one in found if one is not None), NetworkTrouble.OTHER)


def _kind(error: BaseException) -> NetworkTrouble | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        return _CERTIFICATES.get(error.verify_code, NetworkTrouble.UNTRUSTED)
    return next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), None)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield `error` and what it wraps, however the library does that."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            waiting += [*one.args, one.__cause__, one.__context__]
            yield one
