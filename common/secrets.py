"""Keys derived from the server key, and the encryption of stored credentials.

One server key is configured; what it is used for gets a key of its own (HKDF), so that no use can weaken another.
The previous key keeps reading and proving while a rotation is under way.
"""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.config import Settings
from common.errors import SettingsError


def derived_keys(settings: Settings, purpose: str) -> list[bytes]:
    """Return 32-byte keys for `purpose`: the current one first, then the previous one if there is one.

    Raises:
        SettingsError: no server key is configured.
    """
    keys = [settings.require_secret_key(), settings.secret_key_previous.get_secret_value()]
    return [_derive(key, purpose) for key in keys if key]


def fingerprint(key: bytes) -> str:
    """Return eight hex digits that tell one key from another without telling anything of it."""
    return hashlib.sha256(b"fingerprint" + key).hexdigest()[:8]


class Vault:
    """Encrypts and decrypts credentials for the database (Fernet: AES-128-CBC with HMAC-SHA256)."""

    def __init__(self, settings: Settings) -> None:
        fernets = [Fernet(base64.urlsafe_b64encode(key)) for key in derived_keys(settings, "credentials-at-rest")]
        self._current = fernets[0]
        self._fernet = MultiFernet(fernets)

    def seal(self, plain: str) -> str:
        return self._fernet.encrypt(plain.encode()).decode()

    def open(self, sealed: str) -> str:
        """Return the plain text.

        Raises:
            SettingsError: neither key opens it, so the server key is not the one it was sealed with.
        """
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            raise SettingsError(
                "A stored credential cannot be decrypted: ENTRA_SMS_SECRET_KEY is not the key it was saved with. "
                "Put the old key into ENTRA_SMS_SECRET_KEY_PREVIOUS, or give the credential again."
            ) from None

    def sealed_anew(self, sealed: str) -> str:
        """Return `sealed`, or when the previous key sealed it, its content sealed with the current one.

        Raises:
            SettingsError: as for `open`.
        """
        try:
            self._current.decrypt(sealed.encode())
        except InvalidToken:
            return self.seal(self.open(sealed))
        return sealed


def _derive(key: str, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=f"entra-sms-sync/{purpose}".encode()).derive(
        key.encode()
    )
