"""What is known of a tenant's credential: its kind and its end, and whether that is near."""

from __future__ import annotations

from datetime import datetime

from common import expiry
from common.db.tenants import Tenant
from common.errors import SettingsError
from common.graph.credentials import Credential
from console.connection import Installation
from console.output import plural

UNREADABLE = "cannot be decrypted with this server key"


def credential_of(installation: Installation, tenant: Tenant) -> Credential | None:
    """Return what is stored, or None where the server key does not open it."""
    try:
        return tenant.credentials(installation.vault).credential
    except SettingsError:
        return None


def in_words(tenant: Tenant, now: datetime) -> str:
    """Return when the credential expires, for people."""
    if tenant.credential_expires_at is None:
        return "unknown; tell it with: entra-sms tenants credential --expires YYYY-MM-DD"
    left = expiry.days_left(tenant.credential_expires_at, now)
    return f"{day(tenant)}, in {plural(left, 'day')}" if left > 0 else f"{day(tenant)}, which is over"


def day(tenant: Tenant) -> str:
    return "unknown" if tenant.credential_expires_at is None else expiry.day(tenant.credential_expires_at)


def warning(tenant: Tenant, now: datetime) -> str | None:
    """Return what to do and until when, once the end is near or over; else None."""
    expires_at = tenant.credential_expires_at
    if expires_at is None or expires_at - now > max(expiry.WARNING_DAYS) * expiry.DAY:
        return None
    return f"{expiry.sentence(expires_at, now)} {expiry.ADVICE}"


def is_urgent(tenant: Tenant, now: datetime) -> bool:
    expires_at = tenant.credential_expires_at
    return expires_at is not None and expires_at - now <= expiry.URGENT_DAYS * expiry.DAY
