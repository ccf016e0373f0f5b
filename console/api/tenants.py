"""``/v1/tenants``: whose address books the key opens."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from pydantic import Field

from common.db import tenants
from common.db.tenants import TenantState
from console.api import cursors, reading
from console.api.answers import Page, Shape, answer, blueprint, example
from console.api.queries import InTenant, PageQuery, Query
from console.reads import overview

part = blueprint("Tenants", "The companies whose address books the key opens.")


class TenantSummary(Shape):
    """A company's directory."""

    model_config = example(
        tenant_id="6c2dbcd2-db86-40c5-9149-be1d1262164c",
        name="Contoso",
        domain="contoso.example",
        state="active",
        default_region="PL",
    )

    tenant_id: UUID
    name: str = Field(description="What the operator calls it.")
    domain: str | None
    state: TenantState = Field(description="Only while it is `active` the address book follows the directory.")
    default_region: str | None = Field(description="Country of numbers without a prefix, ISO 3166-1 alpha-2.")


class TenantDetail(TenantSummary):
    """A company's directory, and how far it has been read."""

    model_config = example(
        tenant_id="6c2dbcd2-db86-40c5-9149-be1d1262164c",
        name="Contoso",
        domain="contoso.example",
        state="active",
        default_region="PL",
        disabled_are_recipients=False,
        guests_are_recipients=True,
        is_complete=True,
        last_change=4711,
    )

    disabled_are_recipients: bool = Field(description="Are people whose account is disabled recipients?")
    guests_are_recipients: bool
    is_complete: bool = Field(description="False until everybody and all groups have been read for the first time.")
    last_change: int = Field(
        description="Number of a change: what is read after this was asked has it and all before. Begin here to follow "
        "the changes."
    )


class TenantPage(Page[TenantSummary]):
    """Some tenants, ordered by id."""


@part.get("/tenants", summary="Tenants that the key opens", operation_id="listTenants", responses={200: TenantPage})
def list_tenants(query: PageQuery) -> Response:
    now = reading.current()
    opened = None if now.key.all_tenants else now.key.tenant_ids
    found = tenants.page_by_id(now.connection, opened, cursors.decode(query), query.limit + 1)
    items = found[: query.limit]
    cursor = cursors.encode(query, items[-1].tenant_id) if len(found) > len(items) else None
    return answer(TenantPage(items=[TenantSummary.model_validate(one) for one in items], next_cursor=cursor))


@part.get("/tenants/<uuid:tenant_id>", summary="One tenant", operation_id="getTenant", responses={200: TenantDetail})
def get_tenant(path: InTenant, query: Query) -> Response:  # noqa: ARG001 - none is taken, and each is refused
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    last_change = now.horizon.find(now.connection)
    return answer(
        TenantDetail(
            **TenantSummary.model_validate(tenant).model_dump(),
            disabled_are_recipients=tenant.recipient_rule.disabled,
            guests_are_recipients=tenant.recipient_rule.guests,
            is_complete=overview.is_complete(now.connection, tenant.tenant_id),
            last_change=last_change,
        )
    )
