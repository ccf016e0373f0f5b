"""``/v1/tenants/…/changes``: what happened to an address book, in order."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from flask import Response
from pydantic import Field

from console.api import reading
from console.api.answers import Shape, answer, blueprint, example
from console.api.queries import DEFAULT_LIMIT, LARGEST_LIMIT, InTenant, Query
from console.reads import changes

part = blueprint("Changes", "What happened to an address book, in order.")

LARGEST_NUMBER = 2**53 - 1


class Change(Shape):
    """Something that happened. It holds no values: read the person or the group to see what is now."""

    model_config = example(
        sequence=4712,
        at="2026-03-02T08:15:30.123456Z",
        kind="membership.added",
        object_id="b7d1c1de-2f6c-4a3f-8a0e-5a4d0a9f6c21",
        member_id="0f5bb9a1-6f2c-4c8d-9d4b-0f2f6f1d3a10",
        fields=[],
        reason="notification",
        name="Anna Nowak",
        group="Sales",
    )

    sequence: int = Field(description="Grows with every change of all tenants.")
    at: datetime
    kind: str = Field(
        description="`contact.added`, `contact.changed`, `contact.removed`, likewise `group.…`; "
        "`membership.added`, `membership.removed`."
    )
    object_id: UUID = Field(description="Of the person or the group; of a membership: of the group.")
    member_id: UUID | None = Field(description="Of a membership: who or what is in the group.")
    fields: list[str] = Field(description="Which fields changed.")
    reason: str = Field(description="Why the directory was read.")
    name: str | None = Field(description="Of the person, group or member as it is now; null: gone, or it has none.")
    group: str | None = Field(description="Of a membership: the name of the group, likewise.")


class ChangePage(Shape):
    """Some changes, oldest first."""

    items: list[Change]
    last: int = Field(description="Give it as `since` to go on. Everything up to this number has been told.")
    has_more: bool = Field(description="True: there is more at once. False: ask again later.")


class ChangeQuery(Query):
    """Where to begin."""

    since: int = Field(0, ge=0, le=LARGEST_NUMBER, description="Changes after this number; 0: all that are kept.")
    limit: int = Field(DEFAULT_LIMIT, ge=1, le=LARGEST_LIMIT, description="How many at most.")


@part.get(
    "/tenants/<uuid:tenant_id>/changes",
    summary="Changes after a number",
    description="Only what is complete is told: no change appears among numbers that have been told. So `last` is all "
    "that a program has to remember.",
    operation_id="listChanges",
    responses={200: ChangePage},
)
def list_changes(path: InTenant, query: ChangeQuery) -> Response:
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    up_to = now.horizon.find(now.connection, query.since)
    found = changes.after(now.connection, query.since, tenant_id=tenant.tenant_id, limit=query.limit + 1, up_to=up_to)
    items = found[: query.limit]
    has_more = len(found) > len(items)
    last = items[-1].sequence if has_more else max(query.since, up_to)
    told = [Change.model_validate(one) for one in items]
    return answer(ChangePage(items=told, last=last, has_more=has_more))
