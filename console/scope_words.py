"""A scope in people's words."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from common.scope import Scope
from console.output import shown
from console.reads import teams

EVERYBODY = "everybody in the directory"


def in_words(scope: Scope, names: Mapping[str, str]) -> str:
    """Return e.g. ``people in Sales or Board who have: country = "PL"``."""
    if scope.is_everybody:
        return EVERYBODY
    groups = " or ".join(names.get(group_id, group_id) for group_id in scope.group_ids)
    people = f"people in {groups}, directly or through groups in it" if groups else "people"
    return people if scope.condition is None else f"{people}{',' if groups else ''} with {scope.condition_text}"


def facts_of(scope: Scope, names: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return a scope as a list: a group a line, with its id."""
    if scope.is_everybody:
        return [("Scope", EVERYBODY)]
    groups = [
        f"{names[group_id]} ({group_id})" if group_id in names else f"{group_id}: no group of the address book"
        for group_id in scope.group_ids
    ]
    pairs = [("In one of the groups" if at == 0 else "", group) for at, group in enumerate(groups)]
    return pairs if scope.condition is None else [*pairs, ("With", scope.condition_text or "")]


def names_of_groups(connection: Connection, tenant_id: str, *scopes: Scope) -> dict[str, str]:
    """Return object id -> name of the groups that `scopes` name, as far as the address book has them."""
    wanted = {group_id for scope in scopes for group_id in scope.group_ids}
    return {team.object_id: shown(team.display_name) for team in teams.with_ids(connection, tenant_id, wanted)}
