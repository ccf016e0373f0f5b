"""Which properties are read, and the fingerprint of everything that shapes rows.

Only what is needed is asked for. The select list is baked into Graph's delta tokens: a changed one needs a full round,
which the fingerprint brings about by itself. From which Graph a cursor is, its link tells: see
`worker.cursors.leave_former_graph`.
"""

from __future__ import annotations

import hashlib

from common.messages import Stream

SELECT: dict[Stream, tuple[str, ...]] = {
    Stream.USERS: (
        "displayName",
        "givenName",
        "surname",
        "mail",
        "userPrincipalName",
        "mobilePhone",
        "businessPhones",
        "usageLocation",
        "accountEnabled",
        "userType",
    ),
    # Without "members" Graph neither returns nor tracks memberships.
    Stream.GROUPS: ("displayName", "mail", "groupTypes", "mailEnabled", "securityEnabled", "members"),
}

MAPPING_VERSION = 1
"""Raised whenever `worker.mapping` makes other rows of the same objects."""


def fingerprint(stream: Stream, default_region: str | None) -> str:
    """Return a word that changes whenever the same directory would make other rows."""
    parts = [str(MAPPING_VERSION), *SELECT[stream]]
    if stream is Stream.USERS:
        parts.append(default_region or "")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
