"""``/v1/tenants/…/groups``: the groups in an address book, and what is in them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import Response
from pydantic import Field

from console.api import reading
from console.api.answers import Page, Shape, answer, blueprint, cut, example
from console.api.cursors import decode, encode
from console.api.queries import InTenant, Nothing, OneOfTenant, PageQuery, Query, Text, maybe
from console.reads import teams
from console.reads.teams import Team

part = blueprint("Groups", "The groups in an address book, and what is in them.")


class Group(Shape):
    """A group of the directory. Names are not unique, object ids are."""

    object_id: UUID
    display_name: str | None
    mail: str | None
    kind: str | None = Field(description="`microsoft365`, `security`, `mail_security` or `distribution`.")


class DirectMembers(Shape):
    """How many direct members of each kind a group has."""

    people: int
    groups: int
    others: int = Field(description="Devices, service principals and others.")


class GroupSummary(Group):
    """A group and how many direct members it has."""

    model_config = example(
        object_id="b7d1c1de-2f6c-4a3f-8a0e-5a4d0a9f6c21",
        display_name="Sales",
        mail="sales@contoso.example",
        kind="microsoft365",
        direct_members={"people": 12, "groups": 1, "others": 0},
    )

    direct_members: DirectMembers


class Reach(Shape):
    """How many people are in the group and in all groups in it."""

    people: int
    with_number: int


class GroupDetail(Group):
    """A group and how many people it reaches."""

    model_config = example(
        object_id="b7d1c1de-2f6c-4a3f-8a0e-5a4d0a9f6c21",
        display_name="Sales",
        mail="sales@contoso.example",
        kind="microsoft365",
        reach={"people": 40, "with_number": 38},
    )

    reach: Reach


class GroupPage(Page[GroupSummary]):
    """Some groups, ordered by object id."""


class Member(Shape):
    """What is directly in a group."""

    model_config = example(
        object_id="0f5bb9a1-6f2c-4c8d-9d4b-0f2f6f1d3a10",
        type="user",
        display_name="Anna Nowak",
    )

    object_id: UUID
    type: str = Field(description="`user`, `group`, `device`, `servicePrincipal`, `orgContact` or another.")
    display_name: str | None = Field(description="Of people and groups; null for others.")


class MemberPage(Page[Member]):
    """Some direct members, ordered by object id."""


class GroupQuery(PageQuery):
    """Which groups are listed."""

    search: Text | Nothing = maybe("Part of the name.")


@part.get(
    "/tenants/<uuid:tenant_id>/groups",
    summary="Groups, and how many direct members they have",
    operation_id="listGroups",
    responses={200: GroupPage},
)
def list_groups(path: InTenant, query: GroupQuery) -> Response:
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    found = teams.page_by_id(now.connection, tenant.tenant_id, query.search, decode(query), query.limit + 1)
    items = found[: query.limit]
    cursor = encode(query, items[-1].team.object_id) if len(found) > len(items) else None
    told = [GroupSummary(**_facts(one.team), direct_members=DirectMembers.model_validate(one)) for one in items]
    return answer(GroupPage(items=told, next_cursor=cursor))


@part.get(
    "/tenants/<uuid:tenant_id>/groups/<uuid:object_id>",
    summary="One group, and how many people it reaches",
    operation_id="getGroup",
    responses={200: GroupDetail},
)
def get_group(path: OneOfTenant, query: Query) -> Response:  # noqa: ARG001 - none is taken, and each is refused
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    team = now.group(tenant, path.object_id)
    reach = teams.reach(now.connection, tenant.tenant_id, team.object_id)
    return answer(GroupDetail(**_facts(team), reach=Reach.model_validate(reach)))


@part.get(
    "/tenants/<uuid:tenant_id>/groups/<uuid:object_id>/members",
    summary="Direct members of a group, of every type",
    description="For the people of a group with those of the groups in it: the contacts with `group`.",
    operation_id="listMembers",
    responses={200: MemberPage},
)
def list_members(path: OneOfTenant, query: PageQuery) -> Response:
    now = reading.current()
    tenant = now.tenant(path.tenant_id)
    team = now.group(tenant, path.object_id)
    found = teams.members_by_id(now.connection, tenant.tenant_id, team.object_id, decode(query), query.limit + 1)
    items, cursor = cut(found, query)
    return answer(MemberPage(items=[Member.model_validate(one) for one in items], next_cursor=cursor))


def _facts(team: Team) -> dict[str, Any]:
    return Group.model_validate(team).model_dump()
