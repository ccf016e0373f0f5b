"""``/v1/tenants/…/recipients``: who gets a message to groups, each number once."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from pydantic import BaseModel, Field

from console.api import reading
from console.api.answers import Page, Shape, answer, blueprint, cut, example
from console.api.cursors import decode
from console.api.queries import MOST_GROUPS, InTenant, PageQuery, Query
from console.reads import recipients
from console.reads.recipients import LeftOut, Selection

part = blueprint("Recipients", "The numbers that a message to groups goes to.")

LARGEST_PAGE = 10_000


class Recipient(Shape):
    """A number that is sent to, and whose it is."""

    model_config = example(
        phone="+48601234567",
        display_name="Anna Nowak",
        given_name="Anna",
        surname="Nowak",
        object_id="0f5bb9a1-6f2c-4c8d-9d4b-0f2f6f1d3a10",
    )

    phone: str = Field(description="E.164; each number once.")
    display_name: str | None
    given_name: str | None
    surname: str | None
    object_id: UUID


class RecipientPage(Page[Recipient]):
    """Some recipients, ordered by object id."""


class RecipientCount(Shape):
    """How many get a message, and how many do not, and why."""

    model_config = example(
        people=40,
        recipients=37,
        left_out={
            "excluded": 0,
            "disabled": 1,
            "guest": 0,
            "missing": 1,
            "invalid": 0,
            "excluded_number": 0,
            "same_number": 1,
        },
    )

    people: int = Field(description="In the groups, and in the groups in them.")
    recipients: int
    left_out: dict[LeftOut, int] = Field(description="The others, by the first reason that holds.")


class _Groups(BaseModel):
    group: list[UUID] = Field(
        min_length=1, max_length=MOST_GROUPS, description="Object id of a group; may be given several times."
    )
    except_: list[UUID] = Field(
        [],
        alias="except",
        max_length=MOST_GROUPS,
        description="Object id of a group: nobody of it and of the groups in it, and no number of theirs. May be given "
        "several times.",
    )


class CountQuery(_Groups, Query):
    """Groups that a message goes to."""


class RecipientQuery(_Groups, PageQuery):
    """Groups that a message goes to, and which page of the recipients."""

    limit: int = Field(1_000, ge=1, le=LARGEST_PAGE, description="How many at most.")


@part.get(
    "/tenants/<uuid:tenant_id>/recipients",
    summary="Who gets a message to groups",
    description="Everybody in the groups and in the groups in them who has a number, each number once. Whether "
    "disabled accounts and guests are among them is a setting of the tenant. A page is right for the moment in which "
    "it is read: a number may come again on a later page when it passes from one person to another in between.",
    operation_id="listRecipients",
    responses={200: RecipientPage},
)
def list_recipients(path: InTenant, query: RecipientQuery) -> Response:
    now = reading.current()
    wanted = _selection(path, query)
    items, cursor = cut(recipients.page_by_id(now.connection, wanted, decode(query), query.limit + 1), query)
    return answer(RecipientPage(items=[Recipient.model_validate(one) for one in items], next_cursor=cursor))


@part.get(
    "/tenants/<uuid:tenant_id>/recipients/count",
    summary="How many get a message to groups, and who is left out",
    operation_id="countRecipients",
    responses={200: RecipientCount},
)
def count_recipients(path: InTenant, query: CountQuery) -> Response:
    counted = recipients.count(reading.current().connection, _selection(path, query))
    left_out = {reason: counted[reason] for reason in LeftOut}
    return answer(RecipientCount(people=counted.total(), recipients=counted[None], left_out=left_out))


def _selection(path: InTenant, query: _Groups) -> Selection:
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    included, excluded = (
        tuple(now.group(tenant, one).object_id for one in dict.fromkeys(ids)) for ids in (query.group, query.except_)
    )
    return Selection(tenant.tenant_id, tenant.recipient_rule, group_ids=included, except_ids=excluded)
