"""The error answers of Microsoft Graph, by their documented and observed codes.

Source: the error responses page of the Microsoft Graph documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class GraphError(Exception):
    """An answer other than success: HTTP status, `error.code`, `error.message` and extra headers."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = dict(headers or {})

    def body(self, inner: Mapping[str, Any]) -> dict[str, Any]:
        """Return the error body; `inner` identifies the request (date, request-id, client-request-id)."""
        return {"error": {"code": self.code, "message": self.message, "innerError": dict(inner)}}


def bad_request(message: str) -> GraphError:
    return GraphError(400, "Request_BadRequest", message)


def unsupported_query(message: str) -> GraphError:
    return GraphError(400, "Request_UnsupportedQuery", message)


def unauthenticated(message: str) -> GraphError:
    return GraphError(
        401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": 'Bearer realm="", authorization_uri=""'}
    )


def denied() -> GraphError:
    return GraphError(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


def object_not_found(object_id: str) -> GraphError:
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )


def subscription_not_found() -> GraphError:
    return GraphError(404, "ResourceNotFound", "The object was not found.")


def extension_error(http_status: int, operation: str, status_code: str, reason: str) -> GraphError:
    """Wrap a complaint of the workload behind the subscription service the way that service does."""
    message = f"Operation: {operation}; Exception: [Status Code: {status_code}; Reason: {reason}]"
    return GraphError(http_status, "ExtensionError", message)
