"""The https server: threads, keep-alive, the certificate of the simulator's own authority."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

from cheroot import wsgi
from cheroot.ssl.builtin import BuiltinSSLAdapter

from simulator.disturbances import CONNECTION_KEY

log = logging.getLogger(__name__)

# Enough for validations that call back into a client which calls us, several clients at a time.
_THREADS = 32


class _Gateway(wsgi.Gateway_10):
    """Tells the application on which connection a request came, so that a fault can reset it."""

    def get_environ(self) -> dict[str, Any]:  # type: ignore[override] # the stub forgets that it returns something
        environ: dict[str, Any] = super().get_environ()  # type: ignore[no-untyped-call] # untyped in the stub
        environ[CONNECTION_KEY] = self.req.conn
        return environ


class _HttpsServer(wsgi.Server):
    """cheroot's server with our gateway and our log."""

    def __init__(self, address: tuple[str, int], application: Any, adapter: BuiltinSSLAdapter) -> None:
        super().__init__(address, application, numthreads=_THREADS, request_queue_size=256)
        self.gateway = _Gateway
        self.ssl_adapter = adapter
        self.shutdown_timeout = 0.3
        # How often idle connections are looked through, and how long a stop waits for that look to end.
        self.expiration_interval = 0.05

    def error_log(self, msg: str = "", level: int = logging.INFO, traceback: bool = False) -> None:
        # The library reports broken handshakes of strangers as errors; to us they are small talk.
        log.debug("%s (%s)", msg, level, exc_info=traceback)


class Server:
    """Serves a WSGI application over https between `start` and `stop`."""

    def __init__(self, application: Any, host: str, port: int, certificate: Path, key: Path) -> None:
        self._server = _HttpsServer((host, port), application, BuiltinSSLAdapter(str(certificate), str(key)))
        self._thread = threading.Thread(target=self._serve, name="https", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on, known once started."""
        return int(self._server.bind_addr[1])

    def start(self) -> None:
        """Bind and serve in the background; OSError when the address is taken."""
        self._server.prepare()
        self._thread.start()

    def stop(self) -> None:
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=1)

    def _serve(self) -> None:
        self._server.serve()
