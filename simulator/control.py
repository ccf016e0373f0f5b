"""The control API: looking at the truth, changing it, and turning the knobs. JSON, no login, loopback only.

`docs/simulator.md` describes every route with an example. Bad input is answered 400 with a sentence, an unknown
object 404, a contradiction 409.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, Response, g, request

from simulator.answers import plain_json
from simulator.company import Company
from simulator.directory import ConflictError, NoSuchObjectError
from simulator.lifecycle import EVENTS
from simulator.population import DirectoryObject
from simulator.tenant import Tenant
from simulator.world import World

_MOST_RANDOM_CHANGES = 100_000
_TENANT = "/tenants/<tenant_name>"


class Control:
    """The routes under `/control`."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self) -> Blueprint:
        blueprint = Blueprint("control", __name__)
        blueprint.register_error_handler(ValueError, lambda problem: _problem(400, problem))
        blueprint.register_error_handler(ConflictError, lambda problem: _problem(409, problem))
        blueprint.register_error_handler(NoSuchObjectError, lambda problem: _problem(404, problem))
        blueprint.add_url_rule("/health", view_func=self.health)
        blueprint.add_url_rule("/tenants", view_func=self.tenants)
        blueprint.add_url_rule("/clock", view_func=self.clock, methods=["GET", "POST", "PUT"])
        table: dict[str, tuple[str, Callable[..., Response]]] = {
            "/clock": ("GET POST PUT", lambda _: self.clock()),
            "/directory": ("GET", self.directory),
            "/changes": ("GET", self.changes),
            "/random-changes": ("POST", self.random_changes),
            "/lively": ("GET PUT DELETE", self.lively),
            "/faults": ("GET PUT", self.faults),
            "/faults/reset": ("POST", self.reset_faults),
            "/permissions": ("GET PUT", self.permissions),
            "/credentials": ("PUT", self.credentials),
            "/subscriptions": ("GET", self.subscriptions),
            "/subscriptions/<subscription_id>": ("DELETE", self.forget_subscription),
            "/lifecycle": ("POST", self.lifecycle),
            "/statistics": ("GET", self.statistics),
            "/delta-tokens": ("DELETE", self.expire_delta_tokens),
            "/<any(users,groups):kind>": ("POST", self.create),
            "/<any(users,groups):kind>/<object_id>": ("GET PATCH DELETE", self.one),
            "/<any(users,groups):kind>/<object_id>/restore": ("POST", self.restore),
            "/<any(users,groups):kind>/<object_id>/purge": ("POST", self.purge),
            "/groups/<group_id>/members": ("POST", self.add_member),
            "/groups/<group_id>/members/<member_id>": ("DELETE", self.remove_member),
        }
        for path, (methods, view) in table.items():
            blueprint.add_url_rule(f"{_TENANT}{path}", f"tenant {path}", self._of_tenant(view), methods=methods.split())
        return blueprint

    def health(self) -> Response:
        return plain_json({"status": "ok", "tenants": len(self._world.tenants)})

    def tenants(self) -> Response:
        cards = []
        for tenant in self._world.tenants.values():
            truth = tenant.directory.truth
            with tenant.lock:
                counts = {f"{kind}s": len(truth.rosters[kind]) for kind in ("user", "group")}
            secret = tenant.application.client_secret
            card = {"tenant_id": tenant.id, "domain": tenant.domain, "client_id": tenant.application.client_id}
            cards.append({**card, "client_secret": secret, **counts})
        return plain_json({"tenants": cards})

    # The directory

    def directory(self, tenant: Tenant) -> Response:
        with tenant.lock:
            truth = tenant.directory.truth
            live = {
                kind: [found for each in truth.rosters[kind] if (found := truth.live(each))] for kind in truth.rosters
            }
            groups = []
            for group in live["group"]:
                members = [{"id": found.id, "type": found.type} for _, found in truth.live_members(group.id)]
                groups.append(_as_json(group) | {"members": members})
            body = {"seq": tenant.log.head, "users": [_as_json(user) for user in live["user"]], "groups": groups}
        return plain_json(body)

    def changes(self, tenant: Tenant) -> Response:
        after = request.args.get("after", "0")
        limit = request.args.get("limit", "100000")
        if not after.isdecimal() or not limit.isdecimal():
            raise ValueError("'after' and 'limit' are whole numbers.")
        with tenant.lock:
            found = tenant.log.after(int(after))[: int(limit)]
            head, acknowledged = tenant.log.head, tenant.log.acknowledged
            changes = [change.as_json() | {"acknowledged": change.sequence in acknowledged} for change in found]
        return plain_json({"head": head, "changes": changes})

    def create(self, tenant: Tenant, kind: str) -> Response:
        return plain_json(_as_json(tenant.directory.create(kind.removesuffix("s"), _fields())), 201)

    def one(self, tenant: Tenant, kind: str, object_id: str) -> Response:
        singular = kind.removesuffix("s")
        if request.method == "PATCH":
            return plain_json(_as_json(tenant.directory.update(singular, object_id, _fields())))
        if request.method == "DELETE":
            tenant.directory.remove(singular, object_id)
            return Response(status=204)
        with tenant.lock:
            found = tenant.directory.truth.objects.get(object_id)
        if found is None or found.type != singular:
            raise NoSuchObjectError(f"There is no {singular} {object_id}.")
        return plain_json(_as_json(found) | {"status": found.status})

    def restore(self, tenant: Tenant, kind: str, object_id: str) -> Response:
        return plain_json(_as_json(tenant.directory.restore(kind.removesuffix("s"), object_id)))

    def purge(self, tenant: Tenant, kind: str, object_id: str) -> Response:
        tenant.directory.purge(kind.removesuffix("s"), object_id)
        return Response(status=204)

    def add_member(self, tenant: Tenant, group_id: str) -> Response:
        tenant.directory.add_member(group_id, _text(_fields(), "id"))
        return Response(status=204)

    def remove_member(self, tenant: Tenant, group_id: str, member_id: str) -> Response:
        tenant.directory.remove_member(group_id, member_id)
        return Response(status=204)

    # Life

    def random_changes(self, tenant: Tenant) -> Response:
        fields = _only(_fields(), "count", "seed")
        count, seed = _whole(fields, "count", 1, _MOST_RANDOM_CHANGES), _whole(fields, "seed", 0, 2**63, default=0)
        with tenant.lock:
            before = tenant.log.head
            company = Company(tenant.directory, tenant.domain, random.Random(f"random changes {seed}"))
            made = company.act_many(count)
            after = tenant.log.head
        return plain_json({"made": made, "total": sum(made.values()), "first_seq": before + 1, "last_seq": after})

    def lively(self, tenant: Tenant) -> Response:
        lively = self._world.lively[tenant.id]
        if request.method == "PUT":
            fields = _only(_fields(), "changes_per_second", "seed")
            lively.run(_number(fields, "changes_per_second"), _whole(fields, "seed", 0, 2**63, default=1))
        elif request.method == "DELETE":
            lively.rest()
        return plain_json(lively.report())

    # Knobs

    def faults(self, tenant: Tenant) -> Response:
        if request.method == "PUT":
            tenant.faults.turn(_fields())
        return plain_json(tenant.faults.report())

    def reset_faults(self, tenant: Tenant) -> Response:
        tenant.faults.reset()
        return plain_json(tenant.faults.report())

    def clock(self) -> Response:
        """Show or turn the clock, which is the same for all tenants."""
        clock = self._world.clock
        if request.method == "POST":
            clock.advance(_number(_only(_fields(), "advance_seconds"), "advance_seconds"))
        elif request.method == "PUT":
            clock.set_speed(_number(_only(_fields(), "speed"), "speed"))
        return plain_json({"now": clock.now(), "wall": clock.wall(), "speed": clock.speed})

    def permissions(self, tenant: Tenant) -> Response:
        if request.method == "PUT":
            roles = _only(_fields(), "roles").get("roles")
            if not isinstance(roles, list) or not all(isinstance(role, str) and role for role in roles):
                raise ValueError("'roles' is a list of permission names.")
            tenant.application.roles = tuple(roles)
            self._world.lifecycle.revoke(tenant)
        return plain_json({"roles": list(tenant.application.roles)})

    def credentials(self, tenant: Tenant) -> Response:
        known = ("client_secret", "new_client_secret", "expired", "certificate_pem", "delete_certificates")
        fields = _only(_fields(), *known)
        application = tenant.application
        if "delete_certificates" in fields and _flag(fields, "delete_certificates"):
            application.delete_certificates()
        if "certificate_pem" in fields:
            application.register_certificate(_text(fields, "certificate_pem"))
        if "client_secret" in fields:
            application.replace_secret(_text(fields, "client_secret"))
        if "new_client_secret" in fields:
            application.newer_secrets.append(_text(fields, "new_client_secret"))
        if "expired" in fields:
            application.secret_expired = _flag(fields, "expired")
        return plain_json({"expired": application.secret_expired, "certificates": len(application.certificates)})

    def expire_delta_tokens(self, tenant: Tenant) -> Response:
        tenant.reset_delta_tokens()
        return Response(status=204)

    # Notifications

    def subscriptions(self, tenant: Tenant) -> Response:
        clock = self._world.clock
        shown = []
        for each in tenant.subscriptions.live():
            paused = {"paused": each.is_paused(clock.now()), "seconds_left": each.expires_at - clock.now()}
            shown.append(each.as_json(clock, reveal=True) | paused)
        return plain_json({"subscriptions": shown})

    def forget_subscription(self, tenant: Tenant, subscription_id: str) -> Response:
        if not tenant.subscriptions.remove(subscription_id):
            raise NoSuchObjectError(f"There is no subscription {subscription_id}.")
        return Response(status=204)

    def lifecycle(self, tenant: Tenant) -> Response:
        fields = _only(_fields(), "event", "subscription_id")
        event, subscription_id = _text(fields, "event"), _text(fields, "subscription_id")
        if event not in EVENTS:
            raise ValueError(f"'event' is one of {', '.join(EVENTS)}.")
        subscription = tenant.subscriptions.get(subscription_id)
        if subscription is None:
            raise NoSuchObjectError(f"There is no subscription {subscription_id}.")
        if subscription.lifecycle_url is None:
            raise ConflictError("The subscription has no lifecycleNotificationUrl.")
        self._world.lifecycle.send(tenant, subscription, event)
        return Response(status=202)

    def statistics(self, tenant: Tenant) -> Response:
        report = tenant.statistics.report() | {"endpoints": self._world.notifier.endpoint_states()}
        return plain_json(report)

    def _of_tenant(self, view: Callable[..., Response]) -> Callable[..., Response]:
        def resolved(tenant_name: str, **arguments: str) -> Response:
            tenant = self._world.tenant(tenant_name)
            if tenant is None:
                raise NoSuchObjectError(f"There is no tenant '{tenant_name}'.")
            g.control = True
            return view(tenant, **arguments)

        return resolved


def _as_json(found: DirectoryObject) -> dict[str, Any]:
    body = {"id": found.id, **found.properties}
    return body | {"manager": found.manager} if found.manager is not None else body


def _problem(status: int, problem: Exception) -> Response:
    return plain_json({"error": str(problem)}, status)


def _fields() -> dict[str, Any]:
    body = request.get_json(force=True, silent=True)
    if isinstance(body, dict):
        return body
    raise ValueError("The body must be a JSON object.")


def _only(fields: dict[str, Any], *allowed: str) -> dict[str, Any]:
    unknown = sorted(set(fields) - set(allowed))
    if unknown:
        raise ValueError(f"Unknown: {', '.join(unknown)}. Known: {', '.join(allowed)}.")
    return fields


def _text(fields: Mapping[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"'{name}' is a string.")
    return value


def _number(fields: Mapping[str, Any], name: str) -> float:
    value = fields.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"'{name}' is a number.")


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if isinstance(value, bool):
        return value
    raise ValueError(f"'{name}' is true or false.")


def _whole(fields: Mapping[str, Any], name: str, least: int, most: int, default: int | None = None) -> int:
    value = fields.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"'{name}' is a whole number from {least} to {most}.")
    return value
