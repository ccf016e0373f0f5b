"""`clientState`: the word that Graph repeats in every notification, made so that it proves itself.

``<nonce>.<tag>``, where the tag is an HMAC over tenant, stream and nonce. The webhook needs nothing but the server key
to tell a real notification from a forged one. 61 characters; Graph allows 128 (Microsoft: subscription resource).
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Sequence

from common.config import Settings
from common.messages import Stream
from common.secrets import derived_keys, fingerprint

_NONCE_BYTES = 12


class ClientStates:
    """Makes and checks `clientState` values with the current server key; checks with the previous one too."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._keys = list(keys)

    @classmethod
    def from_settings(cls, settings: Settings) -> ClientStates:
        return cls(derived_keys(settings, "client-state"))

    @property
    def key_fingerprint(self) -> str:
        """Names the key that new values are made with; a subscription made with another one is due for renewal."""
        return fingerprint(self._keys[0])

    def make(self, tenant_id: str, stream: Stream) -> str:
        nonce = secrets.token_hex(_NONCE_BYTES)
        return f"{nonce}.{_tag(self._keys[0], tenant_id, stream, nonce)}"

    def proven_stream(self, state: object, tenant_id: str, streams: Sequence[Stream] = tuple(Stream)) -> Stream | None:
        """Return the stream among `streams` that `state` was made for in this tenant, or None when it proves nothing.

        Every key and stream is tried, in the same time whatever the outcome.
        """
        nonce, _, tag = state.partition(".") if isinstance(state, str) else ("", "", "")
        proven = None
        for key in self._keys:
            for stream in streams:
                if hmac.compare_digest(_tag(key, tenant_id, stream, nonce).encode(), tag.encode(errors="replace")):
                    proven = stream
        return proven


def _tag(key: bytes, tenant_id: str, stream: Stream, nonce: str) -> str:
    content = "\n".join((tenant_id.lower(), stream, nonce)).encode(errors="replace")
    return hmac.digest(key, content, "sha256").hex()[:36]
