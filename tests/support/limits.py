"""Scopes, and by brute force who is in them: shares nothing with the product but the text of the conditions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from deploy.local.comparison import Book

CONDITIONS: dict[str, Callable[[dict[str, Any]], bool]] = {
    'department = "Sales"': lambda user: (user.get("department") or "").lower() == "sales",
    "department is empty": lambda user: not user.get("department"),
    "accountEnabled = true": lambda user: user.get("accountEnabled") is True,
    'userType != "Guest" and not (department = "Board" or accountEnabled = false)': lambda user: (
        user.get("userType") != "Guest"
        and user.get("department") != "Board"
        and user.get("accountEnabled") is not False
    ),
}
"""Conditions of scopes, and what they mean."""


@dataclass(frozen=True)
class Limits:
    """A scope, and by brute force who is in it."""

    group_ids: tuple[str, ...] = ()
    condition: str | None = None
    ever: bool = False
    """Whether there was ever one."""

    def narrowed(self, book: Book, users: Sequence[dict[str, Any]]) -> Book:
        """The part of a directory's book that is in the scope."""
        reached, waiting = set(self.group_ids), [one for one in self.group_ids if one in book.groups]
        while waiting:
            group = waiting.pop()
            new = {member for one, member in book.edges if one == group} - reached
            reached |= new
            waiting += [one for one in new if one in book.groups]
        inside = {
            user["id"]
            for user in users
            if (not self.group_ids or user["id"] in reached)
            and (self.condition is None or CONDITIONS[self.condition](user))
        }
        people = {one: row for one, row in book.people.items() if one in inside}
        edges = frozenset(edge for edge in book.edges if edge[1] not in book.people or edge[1] in inside)
        return replace(book, people=people, edges=edges)
