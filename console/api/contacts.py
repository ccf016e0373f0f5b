"""``/v1/tenants/…/contacts``: the people in an address book."""

from __future__ import annotations

from uuid import UUID

from flask import Response
from pydantic import Field
from sqlalchemy import Select

from common.db import members
from common.db.tenants import Tenant
from common.phones import PhoneSource, PhoneState
from console.api import reading
from console.api.answers import Page, Shape, answer, blueprint, cut, example
from console.api.cursors import decode
from console.api.problems import Kind, ProblemError
from console.api.queries import InTenant, Nothing, OneOfTenant, PageQuery, Query, Text, maybe
from console.api.reading import Reading
from console.reads import people
from console.reads.people import Filter

part = blueprint("Contacts", "The people in an address book, and their numbers.")


class Contact(Shape):
    """A person of the directory. What the directory does not say is null."""

    model_config = example(
        object_id="0f5bb9a1-6f2c-4c8d-9d4b-0f2f6f1d3a10",
        display_name="Anna Nowak",
        given_name="Anna",
        surname="Nowak",
        mail="anna@contoso.example",
        user_principal_name="anna@contoso.example",
        phone="+48601234567",
        phone_source="mobile",
        phone_state="ok",
        mobile_phone="601 234 567",
        business_phones=["22 123 45 67"],
        usage_location="PL",
        enabled=True,
        guest=False,
    )

    object_id: UUID
    display_name: str | None
    given_name: str | None
    surname: str | None
    mail: str | None
    user_principal_name: str | None
    phone: str | None = Field(description="The number that messages go to, E.164; null: there is none.")
    phone_source: PhoneSource | None = Field(description="Which field of the directory it is from.")
    phone_state: PhoneState = Field(
        description="`missing`: nothing stands where a number should; `invalid`: something does, but no number."
    )
    mobile_phone: str | None = Field(description="As the directory holds it.")
    business_phones: list[str] = Field(description="As the directory holds them.")
    usage_location: str | None = Field(description="ISO 3166-1 alpha-2.")
    enabled: bool | None = Field(validation_alias="account_enabled", description="Can the person sign in?")
    guest: bool = Field(validation_alias="is_guest")


class ContactPage(Page[Contact]):
    """Some people, ordered by object id."""


class ContactQuery(PageQuery):
    """Which people are listed; several filters narrow one another."""

    search: Text | Nothing = maybe("Part of a name or an address, or a number in any format.")
    phone: Text | Nothing = maybe("Exactly this number, in any format. In a query `+` is written `%2B`.")
    mail: Text | Nothing = maybe("Exactly this mail address or user principal name, in any case.")
    state: PhoneState | Nothing = maybe("Only people whose number is fine, missing or invalid.")
    group: UUID | Nothing = maybe("Only people of the group with this object id and of the groups in it.")
    direct: bool = Field(False, description="With `group`: without the groups in it.")


@part.get(
    "/tenants/<uuid:tenant_id>/contacts",
    summary="People, found by what is known of them",
    operation_id="listContacts",
    responses={200: ContactPage},
)
def list_contacts(path: InTenant, query: ContactQuery) -> Response:
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    wanted = Filter(
        tenant.tenant_id,
        tenant.default_region,
        search=query.search,
        state=query.state,
        within=_within(now, tenant, query),
        phone=query.phone,
        mail=query.mail,
    )
    items, cursor = cut(people.page_by_id(now.connection, wanted, decode(query), query.limit + 1), query)
    return answer(ContactPage(items=[Contact.model_validate(one) for one in items], next_cursor=cursor))


@part.get(
    "/tenants/<uuid:tenant_id>/contacts/<uuid:object_id>",
    summary="One person",
    operation_id="getContact",
    responses={200: Contact},
)
def get_contact(path: OneOfTenant, query: Query) -> Response:  # noqa: ARG001 - none is taken, and each is refused
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    found = people.get(now.connection, tenant.tenant_id, str(path.object_id))
    if found is None:
        raise ProblemError(
            Kind.NOT_FOUND, f"There is no person {path.object_id} in the address book of this tenant, or no more."
        )
    return answer(Contact.model_validate(found))


def _within(now: Reading, tenant: Tenant, query: ContactQuery) -> Select[str] | None:
    """Return the ids of the people of the group that was asked for; None: of everybody."""
    if query.group is None:
        if query.direct:
            raise ProblemError(Kind.INVALID_PARAMETER, "direct: it belongs to group.")
        return None
    choose = members.people_directly_in if query.direct else members.people_within
    return choose(tenant.tenant_id, now.group(tenant, query.group).object_id)
