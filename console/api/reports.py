"""``/v1/tenants/…/reports``: people whose number needs a look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from flask import Response
from pydantic import Field

from common.db import members
from common.phones import NumberKind, PhoneSource
from console.api import cursors, reading
from console.api.answers import Page, Shape, answer, blueprint, example
from console.api.queries import InTenant, Nothing, PageQuery, maybe
from console.reads import reports
from console.reads.reports import Report, Scope

part = blueprint("Reports", "People whose number needs a look. All people count, disabled accounts and guests too.")


_SOMEBODY = {
    "object_id": "0f5bb9a1-6f2c-4c8d-9d4b-0f2f6f1d3a10",
    "display_name": "Anna Nowak",
    "mail": "anna@contoso.example",
    "user_principal_name": "anna@contoso.example",
    "enabled": True,
    "guest": False,
}


class MissingNumber(Shape):
    """Somebody in a report."""

    model_config = example(**_SOMEBODY)

    object_id: UUID
    display_name: str | None
    mail: str | None
    user_principal_name: str | None
    enabled: bool | None
    guest: bool


class InvalidNumber(MissingNumber):
    """Somebody with what stands where a number should."""

    model_config = example(
        **_SOMEBODY,
        mobile_phone="reception",
        business_phones=["12"],
        region="PL",
    )

    mobile_phone: str | None
    business_phones: list[str]
    region: str | None = Field(description="In which country it was read, ISO 3166-1 alpha-2.")


class SharedNumber(MissingNumber):
    """Somebody with a number that others have too."""

    model_config = example(
        **_SOMEBODY,
        phone="+48221234567",
        phone_source="business",
        people=3,
    )

    phone: str
    phone_source: PhoneSource
    people: int = Field(description="How many have it, this person included.")


class NotMobile(MissingNumber):
    """Somebody with a number that SMS may not reach."""

    model_config = example(
        **_SOMEBODY,
        phone="+48221234567",
        phone_source="business",
        kind="landline",
    )

    phone: str
    phone_source: PhoneSource
    kind: NumberKind


class MissingPage(Page[MissingNumber]):
    """Some people without a number, ordered by object id."""


class InvalidPage(Page[InvalidNumber]):
    """Some people with something that is no number, ordered by object id."""


class SharedPage(Page[SharedNumber]):
    """Some people with a number that others have too, ordered by object id."""


class NotMobilePage(Page[NotMobile]):
    """Some people with a number that is no mobile one, ordered by object id."""


class ReportQuery(PageQuery):
    """Whom a report is about."""

    group: UUID | Nothing = maybe("Only people of the group with this object id and of the groups in it.")


PAGES: dict[Report, tuple[type[Page[Any]], str, str]] = {
    Report.MISSING: (MissingPage, "People without a number", "listMissing"),
    Report.INVALID: (InvalidPage, "People with something that is no number", "listInvalid"),
    Report.SHARED: (SharedPage, "People who share a number", "listShared"),
    Report.NOT_MOBILE: (NotMobilePage, "People whose number is no mobile one", "listNotMobile"),
}
"""Of each report: its pages, and what it is called in the document."""


def _view(report: Report, page: type[Page[Any]]) -> Callable[[InTenant, ReportQuery], Response]:
    def view(path: InTenant, query: ReportQuery) -> Response:
        now = reading.current()
        tenant = now.tenant(path.tenant_id)
        within = None
        if query.group is not None:
            within = members.people_within(tenant.tenant_id, now.group(tenant, query.group).object_id)
        scope = Scope(tenant.tenant_id, tenant.default_region, within)
        found = reports.page_by_id(now.connection, report, scope, cursors.decode(query), query.limit)
        cursor = cursors.encode(query, found.goes_on_after) if found.goes_on_after is not None else None
        return answer(page.model_validate({"items": found.people, "next_cursor": cursor}))

    return view


for _report, (_page, _summary, _operation_id) in PAGES.items():
    part.get(
        f"/tenants/<uuid:tenant_id>/reports/{_report}",
        endpoint=_report.name.lower(),
        summary=_summary,
        operation_id=_operation_id,
        responses={200: _page},
    )(_view(_report, _page))
