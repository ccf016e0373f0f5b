"""Addresses of servers as they may be shown: without passwords."""

from __future__ import annotations

from urllib.parse import urlsplit


def without_password(address: str) -> str:
    """Return `address` without its user, password and parameters."""
    try:
        parts = urlsplit(address)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    if not host:
        return f"{parts.scheme}://{parts.path}"
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}{f':{port}' if port else ''}{parts.path}"
