"""Does the tenant's access work? Each permission is proven by a real read, and named when it is missing."""

from __future__ import annotations

from dataclasses import dataclass

from common.graph.answers import PermissionMissingError
from common.graph.client import GraphClient

PROBES: tuple[tuple[str, str], ...] = (
    ("User.Read.All", "users/delta?$select=mobilePhone&$deltatoken=latest"),
    ("Group.Read.All", "groups?$select=id&$top=1"),
    ("GroupMember.Read.All", "groups/delta?$select=members&$deltatoken=latest"),
)
"""Permission -> the cheapest read that fails without it. Delta with ``latest`` returns no data at all."""

SUBSCRIBING_TO_GROUPS = "Group.Read.All"
MAY_SUBSCRIBE_TO_GROUPS = frozenset(
    {"Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"}
)


@dataclass(frozen=True)
class Proof:
    """One permission and whether a read that needs it worked; `trouble` says why not and what to do."""

    permission: str
    trouble: str | None = None

    @property
    def works(self) -> bool:
        return self.trouble is None


def check_access(client: GraphClient) -> list[Proof]:
    """Try every permission.

    Raises:
        AccessError: Entra refuses the credentials themselves.
        RetryLaterError: Graph or the login service cannot be asked now.
    """
    shown = client.shown_permissions()
    proofs = [_prove(client, permission, path) for permission, path in PROBES]
    return [_unless_unseen(proof, shown) for proof in proofs]


def _prove(client: GraphClient, permission: str, path: str) -> Proof:
    try:
        client.probe(path)
    except PermissionMissingError as error:
        return _missing(permission, error.code)
    return Proof(permission)


def _unless_unseen(proof: Proof, shown: frozenset[str] | None) -> Proof:
    """No read tells whether groups may be subscribed to, since GroupMember.Read.All opens every read of them."""
    if proof.permission != SUBSCRIBING_TO_GROUPS or not proof.works or shown is None or shown & MAY_SUBSCRIBE_TO_GROUPS:
        return proof
    return _missing(proof.permission, "not among the roles of the token")


def _missing(permission: str, code: str) -> Proof:
    return Proof(
        permission,
        f"The application permission {permission} is missing or not consented to [{code}]. In the Entra admin center "
        "open App registrations > your application > API permissions, add it as an application permission of "
        "Microsoft Graph, and click 'Grant admin consent'.",
    )
