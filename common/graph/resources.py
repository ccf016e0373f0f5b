"""Which properties are read, and the fingerprint of everything that shapes rows.

Only what is needed is asked for. The select list is baked into Graph's delta tokens: a changed one needs a full round,
which the fingerprint brings about by itself. From which Graph a cursor is, its link tells: see
`worker.cursors.leave_former_graph`.
"""

from __future__ import annotations

import hashlib

from common.messages import Stream
from common.scope import Scope

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


def fingerprint(stream: Stream, default_region: str | None, scope: Scope) -> str:
    """Return a word that changes whenever the same directory would make other rows.

    What comes of the scope is a part of its own, see `tells_another_scope`; for everybody there is none.
    """
    parts = [str(MAPPING_VERSION), *SELECT[stream]]
    if stream is Stream.USERS:
        parts.append(default_region or "")
    shape = _digest("\n".join(parts))
    return shape if stream is Stream.GROUPS or scope.is_everybody else f"{shape}.{_digest(scope.shape)}"


def tells_another_scope(fingerprint: str | None, other: str) -> bool:
    """Tell whether two fingerprints differ in nothing but the scope."""
    (shape, _, scope), (other_shape, _, other_scope) = (fingerprint or "").partition("."), other.partition(".")
    return shape == other_shape and scope != other_scope


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
