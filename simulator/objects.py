"""Plain reads of users, groups and memberships, from a replica that may trail behind the truth.

Source: the user, group and directoryObject operations of the Microsoft Graph v1.0 reference.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from flask import Blueprint, Response, request

from simulator import query, rendering
from simulator.answers import json_answer
from simulator.gate import Caller, Gate
from simulator.graph_errors import GraphError, bad_request, denied, object_not_found
from simulator.listings import Listing
from simulator.population import DirectoryObject, Population
from simulator.schema import BASIC_PROFILE, GROUP, SCHEMAS, USER, Schema

USER_READERS = ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All")
GROUP_READERS = ("Group.Read.All", "Group.ReadWrite.All", "GroupMember.Read.All", "Directory.Read.All")
ORGANIZATION_READERS = ("Organization.Read.All", "Directory.Read.All")
MOST_IDS = 1_000


class Objects:
    """The read routes of users, groups and directory objects."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def routes(self) -> Blueprint:
        blueprint = Blueprint("objects", __name__)
        for path, view in (
            ("/users", self.users),
            ("/users/<user_id>", self.user),
            ("/users/<user_id>/manager", self.manager),
            ("/users/<user_id>/memberOf", self.member_of),
            ("/users/<user_id>/transitiveMemberOf", self.transitive_member_of),
            ("/groups", self.groups),
            ("/groups/<group_id>", self.group),
            ("/groups/<group_id>/members", self.members),
            ("/groups/<group_id>/transitiveMembers", self.transitive_members),
            ("/directory/deletedItems/microsoft.graph.user", self.deleted_users),
            ("/directory/deletedItems/microsoft.graph.group", self.deleted_groups),
            ("/organization", self.organization),
        ):
            blueprint.add_url_rule(path, view_func=view)
        blueprint.add_url_rule("/directoryObjects/getByIds", view_func=self.by_ids, methods=["POST"])
        return blueprint

    # Users

    def users(self) -> Response:
        caller = self._gate.admit(*USER_READERS, "User.ReadBasic.All", base_cost=2)
        return self._list_all(caller, USER)

    def user(self, user_id: str) -> Response:
        caller = self._gate.admit(*USER_READERS, "User.ReadBasic.All")
        return self._one(caller, USER, user_id)

    def manager(self, user_id: str) -> Response:
        caller = self._gate.admit(*USER_READERS)
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            manager = _find(population, "user", user_id).manager
            found = population.live(manager, "user") if manager else None
        if found is None:
            raise object_not_found("manager")
        return json_answer(_shown(caller, found, None, with_type=True))

    def member_of(self, user_id: str) -> Response:
        return self._memberships(user_id, transitive=False)

    def transitive_member_of(self, user_id: str) -> Response:
        return self._memberships(user_id, transitive=True)

    def _memberships(self, user_id: str, *, transitive: bool) -> Response:
        caller = self._gate.admit(*GROUP_READERS, base_cost=2)
        if not caller.may(*USER_READERS):
            raise denied()
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            user = _find(population, "user", user_id)
            return self._list(caller, None, enumerate(sorted_groups(population, user.id, transitive=transitive)))

    def deleted_users(self) -> Response:
        return self._deleted(USER, USER_READERS)

    # Groups

    def groups(self) -> Response:
        return self._list_all(self._gate.admit(*GROUP_READERS), GROUP)

    def group(self, group_id: str) -> Response:
        return self._one(self._gate.admit(*GROUP_READERS), GROUP, group_id)

    def members(self, group_id: str) -> Response:
        caller = self._gate.admit(*GROUP_READERS, base_cost=3)
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            group = _find(population, "group", group_id)
            listing = Listing(caller)
            return listing.answer(
                population.live_members(group.id, listing.position), lambda found: _shown_mixed(caller, found)
            )

    def transitive_members(self, group_id: str) -> Response:
        caller = self._gate.admit(*GROUP_READERS, base_cost=5)
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            group = _find(population, "group", group_id)
            return self._list(caller, None, enumerate(all_members(population, group.id)))

    def deleted_groups(self) -> Response:
        return self._deleted(GROUP, GROUP_READERS)

    # Both

    def organization(self) -> Response:
        caller = self._gate.admit(*ORGANIZATION_READERS)
        tenant = caller.tenant
        domains = [{"name": tenant.domain, "isDefault": True, "isInitial": True}]
        organization = {"id": tenant.id, "displayName": tenant.domain, "verifiedDomains": domains}
        return json_answer({"@odata.context": f"{caller.root}/$metadata#organization", "value": [organization]})

    def by_ids(self) -> Response:
        given = query.options(request.args)
        caller = self._gate.admit(*USER_READERS, *GROUP_READERS, base_cost=2 if "select" in given else 5)
        body = request.get_json(force=True, silent=True)
        body = body if isinstance(body, dict) else {}
        ids = body.get("ids")
        if not isinstance(ids, list) or not 1 <= len(ids) <= MOST_IDS:
            raise bad_request(f"The property 'ids' must list from 1 to {MOST_IDS} ids.")
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            found = [each for each in (population.live(str(one)) for one in ids) if each is not None]
        wanted = body.get("types") or [each.type for each in found]
        shown = [_shown_mixed(caller, each) for each in found if each.type in wanted]
        return json_answer({"@odata.context": f"{caller.root}/$metadata#directoryObjects", "value": shown})

    def _list_all(self, caller: Caller, schema: Schema) -> Response:
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            position = Listing(caller).position
            ids = query.filtered_ids(query.options(request.args))
            every = population.rosters[schema.type].read(position) if ids is None else enumerate(ids)
            hides = caller.tenant.faults.hides
            found = ((at, population.live(one, schema.type)) for at, one in every if at >= position and not hides(one))
            return self._list(caller, schema, ((at, each) for at, each in found if each is not None))

    def _deleted(self, schema: Schema, readers: tuple[str, ...]) -> Response:
        caller = self._gate.admit(*readers)
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            objects = population.objects
            every = ((at, objects[object_id]) for at, object_id in population.rosters[schema.type].read(0))
            return self._list(caller, schema, ((at, each) for at, each in every if each.status == "deleted"))

    def _list(self, caller: Caller, schema: Schema | None, found: Iterable[tuple[int, DirectoryObject]]) -> Response:
        listing = Listing(caller)
        rest = iter((at, each) for at, each in found if at >= listing.position)
        if schema is None:
            return listing.answer(rest, lambda each: _shown_mixed(caller, each))
        names = query.selected(query.options(request.args), schema)
        return listing.answer(rest, lambda each: _shown(caller, each, names), schema)

    def _one(self, caller: Caller, schema: Schema, object_id: str) -> Response:
        names = query.selected(query.options(request.args), schema)
        with caller.tenant.lock:
            population, _ = caller.tenant.read_replica.current()
            found = _find(population, schema.type, object_id)
        context = {"@odata.context": rendering.context(caller.root, schema, names, entity=True)}
        return json_answer(context | _shown(caller, found, names))


def all_members(population: Population, group_id: str) -> Iterator[DirectoryObject]:
    """Yield direct and nested members once each; cycles end where they began."""
    seen, queue = {group_id}, [group_id]
    while queue:
        for _, member in population.live_members(queue.pop(0)):
            if member.id not in seen:
                seen.add(member.id)
                yield member
                if member.type == "group":
                    queue.append(member.id)


def sorted_groups(population: Population, member_id: str, *, transitive: bool) -> list[DirectoryObject]:
    """Return the live groups that a member is in, directly or through other groups, by id."""
    found: dict[str, DirectoryObject] = {}
    queue = [member_id]
    while queue:
        for group_id in population.member_of.get(queue.pop(), ()):
            group = population.live(group_id, "group")
            if group is not None and group_id not in found:
                found[group_id] = group
                if transitive:
                    queue.append(group_id)
    return [found[group_id] for group_id in sorted(found)]


def _find(population: Population, kind: str, name: str) -> DirectoryObject:
    found = population.live(name.lower(), kind)
    if found is None and kind == "user" and "@" in name:
        wanted = name.lower()
        users = (population.live(user_id) for user_id in population.users)
        found = next((user for user in users if user and user.properties["userPrincipalName"].lower() == wanted), None)
    if found is None:
        raise object_not_found(name)
    return found


def _shown(
    caller: Caller, found: DirectoryObject, names: Iterable[str] | None, *, with_type: bool = False
) -> dict[str, Any]:
    body = rendering.whole(found, names, with_type=with_type)
    if found.type == "user" and not caller.may(*USER_READERS):
        body = {name: value if name in BASIC_PROFILE else None for name, value in body.items()}
    return body


def _shown_mixed(caller: Caller, found: DirectoryObject) -> dict[str, Any]:
    """Show an object of any type: of the selected properties those that its type has."""
    text = query.options(request.args).get("select")
    schema = SCHEMAS.get(found.type)
    if text is None or schema is None:
        return _shown(caller, found, None, with_type=True)
    canonical = (schema.canonical(raw.strip()) for raw in text.split(","))
    names = [name for name in canonical if name and name != "id" and name not in schema.relations]
    if not any(each.canonical(raw.strip()) for raw in text.split(",") for each in SCHEMAS.values()):
        raise GraphError(400, "BadRequest", f"Could not find a property named '{text}' on type 'directoryObject'.")
    return _shown(caller, found, names, with_type=True)
