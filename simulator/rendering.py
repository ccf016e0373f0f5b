"""How directory objects look in answers: object reads show what is empty as null, delta shows only what was ever set.

Source: "Use delta query to track changes" and "List group members" of the Microsoft Graph documentation.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from simulator.population import DirectoryObject
from simulator.schema import SCHEMAS, Schema


def whole(found: DirectoryObject, names: Iterable[str] | None, *, with_type: bool = False) -> dict[str, Any]:
    """Return an object as a GET shows it; `names` None stands for the default set of its type."""
    body: dict[str, Any] = {"@odata.type": f"#microsoft.graph.{found.type}"} if with_type else {}
    body["id"] = found.id
    schema = SCHEMAS.get(found.type)
    if schema is None:
        # The application may not read devices and the like: type and id come, the rest is null.
        return body | {"displayName": None}
    for name in schema.default if names is None else names:
        body[name] = found.properties.get(name, schema.empty(name))
    return body


def changed(found: DirectoryObject, names: Iterable[str]) -> dict[str, Any]:
    """Return an object as delta shows it: never-set properties are left out, cleared ones are null or empty."""
    body: dict[str, Any] = {"id": found.id}
    properties = found.properties
    body.update((name, properties[name]) for name in names if name in properties)
    return body


def removed(found: DirectoryObject) -> dict[str, Any]:
    """Return the entry of an object in the recycle bin (`changed`) or beyond (`deleted`)."""
    reason = "changed" if found.status == "deleted" else "deleted"
    return {"id": found.id, "@removed": {"reason": reason}}


def member(member_id: str, member_type: str, *, gone: bool = False) -> dict[str, Any]:
    """Return an entry of `members@delta`: type and id, never a name."""
    entry: dict[str, Any] = {"@odata.type": f"#microsoft.graph.{member_type}", "id": member_id}
    if gone:
        entry["@removed"] = {"reason": "deleted"}
    return entry


def manager(found: DirectoryObject) -> list[dict[str, Any]]:
    """Return the entries of `manager@delta`: the present manager, or the former one as removed."""
    if found.manager is not None:
        return [member(found.manager, "user")]
    if found.former_manager is not None:
        return [member(found.former_manager, "user", gone=True)]
    return []


def context(root: str, schema: Schema, select: Iterable[str] | None, *, entity: bool = False) -> str:
    """Return the `@odata.context` of an answer; Graph itself is careless with it, so nobody should read it."""
    names = "" if select is None else f"({','.join(select)})"
    return f"{root}/$metadata#{schema.segment}{names}{'/$entity' if entity else ''}"
