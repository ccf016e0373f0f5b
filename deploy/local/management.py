"""The few calls of RabbitMQ's management API that local runs need: is it there, make a vhost, drop a vhost."""

import base64
import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from deploy.local.errors import LocalServiceError

_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class Management:
    """The management API of one broker, asked directly: no proxy of the environment stands between."""

    url: str
    user: str
    password: str

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The decoded answer; `urllib`'s errors become one sentence."""
        request = urllib.request.Request(  # noqa: S310 (the address is that of our own node or of a setting)
            f"{self.url}/api/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {self._basic}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=_TIMEOUT_SECONDS) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise LocalServiceError(f"{method} {request.full_url} was answered with {error.code}.") from error
        except OSError as error:
            raise LocalServiceError(
                f"The management API of RabbitMQ at {self.url} does not answer: {error}."
            ) from error

    def create_vhost(self, name: str) -> None:
        """A vhost on which this user may do everything."""
        self.call("PUT", f"vhosts/{quote(name, safe='')}", {})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        self.call("PUT", f"permissions/{quote(name, safe='')}/{quote(self.user, safe='')}", everything)

    def delete_vhost(self, name: str) -> None:
        self.call("DELETE", f"vhosts/{quote(name, safe='')}")

    @property
    def _basic(self) -> str:
        return base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
