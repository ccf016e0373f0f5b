"""Keys as rows: made and revoked by the console, presented to the HTTP API by whoever may read over it.

A key is ``esms_<id>_<secret>``: a prefix by which people and scanners for leaked secrets recognise it, an id that is no
secret, so that a key can be spoken of, and 256 random bits. Only the SHA-256 of it is stored. A slow hash with salt, as
for passwords, would protect nothing more: nobody can try 2^256 secrets however fast each try is, and no two are alike.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from common.db.tables import IN_USE, api_key_tenants, api_keys

SECRET_BYTES = 32
ID_BYTES = 6
_KEY = re.compile(r"esms_([0-9a-f]{12})_[0-9a-f]{64}")


@dataclass(frozen=True)
class ApiKey:
    """Who may read, and whose address books: those of `tenant_ids`, or every one there is or will be."""

    key_id: str
    name: str
    all_tenants: bool
    tenant_ids: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def opens(self, tenant_id: str) -> bool:
        return self.all_tenants or tenant_id in self.tenant_ids

    def is_valid(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(
    connection: Connection,
    *,
    name: str,
    tenant_ids: Sequence[str] | None,
    expires_at: datetime | None,
    now: datetime,
) -> tuple[ApiKey, str]:
    """Store a new key for some tenants, None: for all; return it, and its text, which nobody can find out again."""
    key_id = secrets.token_hex(ID_BYTES)
    text = f"esms_{key_id}_{secrets.token_hex(SECRET_BYTES)}"
    made = ApiKey(key_id, name, tenant_ids is None, tuple(tenant_ids or ()), now, expires_at, None)
    row = {"key_id": key_id, "name": name, "digest": _digest(text), "all_tenants": made.all_tenants}
    connection.execute(insert(api_keys).values(**row, created_at=now, expires_at=expires_at))
    if made.tenant_ids:
        opened = [{"key_id": key_id, "tenant_id": tenant_id} for tenant_id in made.tenant_ids]
        connection.execute(insert(api_key_tenants), opened)
    return made, text


def revoke(connection: Connection, key_id: str, now: datetime) -> bool:
    """Let nobody read with the key any more; tell whether it was in use."""
    mine = update(api_keys).where(api_keys.c.key_id == key_id, IN_USE)
    return connection.execute(mine.values(revoked_at=now)).rowcount > 0


def find(connection: Connection, wanted: str | None = None) -> Sequence[ApiKey]:
    """Return the keys with this name or id, or all; ordered by name, those in use before those that were revoked."""
    query = select(api_keys).order_by(api_keys.c.name, api_keys.c.revoked_at.is_not(None), api_keys.c.created_at)
    if wanted is not None:
        query = query.where(or_(api_keys.c.name == wanted, api_keys.c.key_id == wanted))
    return [_key(connection, row) for row in connection.execute(query)]


def of_text(connection: Connection, text: str) -> ApiKey | None:
    """Return the key that `text` is, whether or not it is still valid; None when it is none."""
    shape = _KEY.fullmatch(text)
    if shape is None:
        return None
    row = connection.execute(select(api_keys).where(api_keys.c.key_id == shape[1])).one_or_none()
    if row is None or not hmac.compare_digest(row.digest, _digest(text)):
        return None
    return _key(connection, row)


def _key(connection: Connection, row: Row[Any]) -> ApiKey:
    opened = select(api_key_tenants.c.tenant_id).where(api_key_tenants.c.key_id == row.key_id)
    return ApiKey(
        key_id=row.key_id,
        name=row.name,
        all_tenants=row.all_tenants,
        tenant_ids=tuple(connection.scalars(opened.order_by(api_key_tenants.c.tenant_id))),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
    )


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
