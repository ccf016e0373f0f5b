"""Changes of directories, each announced to the Graph of an installation and waited for in its book."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from benchmarks.books import Company
from benchmarks.installation import Installation
from benchmarks.landings import Landings
from common.messages import Stream


class Changes:
    """Makes changes, always of somebody else; `told` counts for each stream of a tenant how many there were."""

    def __init__(self, found: Installation, landings: Landings) -> None:
        self.told: dict[tuple[str, Stream], int] = defaultdict(int)
        self._found = found
        self._landings = landings
        self._number = 0

    def change(self, company: Company, stream: Stream) -> tuple[str, bytes]:
        """Change a number, or let somebody new into a group.

        Return whose change `landings` is to wait for, and the notification that Graph sends.
        """
        self._number += 1
        position = self.told[company.tenant_id, stream]
        if stream is Stream.USERS:
            named = awaited = company.people[position % len(company.people)]
            entry = _person(awaited, self._number)
        else:
            named = company.groups[position % len(company.groups)]
            awaited = f"{self._number:08x}-0000-4000-8000-000000000000"
            entry = _with_member(named, awaited)
        self._landings.forget(awaited)  # first: who asks Graph at this moment finds the change before its notification
        self._found.graph.announce({"tenant_id": company.tenant_id, "stream": stream, "entry": entry})
        self.told[company.tenant_id, stream] = position + 1
        return awaited, self._found.notification(company.tenant_id, stream, named)


def _person(object_id: str, number: int) -> dict[str, Any]:
    """Return all that is held of a person: of less the worker would read the person itself."""
    address = f"person{number}@nordwind.example"
    return {
        "id": object_id,
        "displayName": f"Person {number}",
        "givenName": "Person",
        "surname": str(number),
        "mail": address,
        "userPrincipalName": address,
        "mobilePhone": f"+4869{number % 10**7:07}",
        "businessPhones": [],
        "usageLocation": "PL",
        "accountEnabled": True,
        "userType": "Member",
    }


def _with_member(object_id: str, member_id: str) -> dict[str, Any]:
    return {
        "id": object_id,
        "displayName": f"Team {object_id[:8]}",
        "groupTypes": [],
        "securityEnabled": True,
        "mailEnabled": False,
        "members@delta": [{"@odata.type": "#microsoft.graph.user", "id": member_id}],
    }
