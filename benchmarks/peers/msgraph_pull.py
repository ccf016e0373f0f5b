"""A loop over Microsoft's own client for Python, as its documentation shows it, that inserts what each page says.

It stores people, groups and memberships as they are said to be, a transaction a page. No phone is read, nothing is
compared with what was there, nothing follows later changes.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from typing import Any

import httpx
from kiota_abstractions.authentication import (
    AccessTokenProvider,
    AllowedHostsValidator,
    BaseBearerTokenAuthenticationProvider,
)
from kiota_abstractions.base_request_configuration import RequestConfiguration
from msgraph import GraphRequestAdapter, GraphServiceClient
from msgraph_core import GraphClientFactory
from sqlalchemy import JSON, Boolean, Column, Engine, MetaData, Table, Text, create_engine, func, insert, select

ORIGIN = os.environ["ENTRA_SMS_GRAPH_URL"]
METADATA = MetaData()
USERS = Table(
    "pulled_users",
    METADATA,
    Column("id", Text, primary_key=True),
    *(
        Column(name, Text)
        for name in (
            *("display_name", "given_name", "surname", "mail", "user_principal_name", "mobile_phone"),
            *("usage_location", "user_type"),
        )
    ),
    Column("business_phones", JSON),
    Column("account_enabled", Boolean),
)
GROUPS = Table(
    "pulled_groups",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("display_name", Text),
    Column("mail", Text),
)
MEMBERS = Table(
    "pulled_members",
    METADATA,
    Column("group_id", Text, primary_key=True),
    Column("member_id", Text, primary_key=True),
    Column("member_type", Text),
)


class FixedToken(AccessTokenProvider):
    """An access token that is known already."""

    async def get_authorization_token(self, _uri: str, _context: Any = None) -> str:
        return "benchmark"

    def get_allowed_hosts_validator(self) -> AllowedHostsValidator:
        return AllowedHostsValidator([])


def client() -> GraphServiceClient:
    http = GraphClientFactory.create_with_default_middleware(
        client=httpx.AsyncClient(verify=os.environ["ENTRA_SMS_CA_BUNDLE"], timeout=30)
    )
    adapter = GraphRequestAdapter(BaseBearerTokenAuthenticationProvider(FixedToken()), client=http)
    adapter.base_url = f"{ORIGIN}/v1.0"
    return GraphServiceClient(request_adapter=adapter)


async def pull_users(graph: GraphServiceClient, engine: Engine, names: list[str]) -> None:
    configuration: Any = RequestConfiguration(query_parameters=_selecting(graph.users.delta, names))
    page: Any = await graph.users.delta.get(request_configuration=configuration)
    while True:
        rows = [{column.name: getattr(user, column.name) for column in USERS.columns} for user in page.value]
        with engine.begin() as connection:
            if rows:
                connection.execute(insert(USERS), rows)
        if not page.odata_next_link:
            return
        page = await graph.users.delta.with_url(page.odata_next_link).get()


async def pull_groups(graph: GraphServiceClient, engine: Engine, names: list[str]) -> None:
    configuration: Any = RequestConfiguration(query_parameters=_selecting(graph.groups.delta, names))
    page: Any = await graph.groups.delta.get(request_configuration=configuration)
    known: set[str] = set()
    while True:
        groups = {group.id: group for group in page.value if group.id not in known}
        known.update(groups)
        members = [
            {"group_id": group.id, "member_id": str(member["id"]), "member_type": member["@odata.type"]}
            for group in page.value
            for member in group.additional_data.get("members@delta", ())
        ]
        with engine.begin() as connection:
            if groups:
                rows = [{"id": one.id, "display_name": one.display_name, "mail": one.mail} for one in groups.values()]
                connection.execute(insert(GROUPS), rows)
            if members:
                connection.execute(insert(MEMBERS), members)
        if not page.odata_next_link:
            return
        page = await graph.groups.delta.with_url(page.odata_next_link).get()


def _selecting(builder: Any, names: list[str]) -> Any:
    return type(builder).DeltaRequestBuilderGetQueryParameters(select=names)


async def pull(selects: dict[str, list[str]], engine: Engine) -> float:
    """Return the seconds from the first request to the last commit."""
    began = time.perf_counter()
    graph = client()
    await pull_users(graph, engine, selects["users"])
    await pull_groups(graph, engine, selects["groups"])
    return time.perf_counter() - began


def main() -> None:
    engine = create_engine(os.environ["ENTRA_SMS_DATABASE_URL"])
    METADATA.create_all(engine)
    selects = {stream: names.split(",") for stream, names in (word.split("=") for word in sys.argv[1:])}
    seconds = asyncio.run(pull(selects, engine))
    with engine.connect() as connection:
        rows = [connection.scalar(select(func.count()).select_from(table)) for table in (USERS, GROUPS, MEMBERS)]
    print(json.dumps({"seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main()
