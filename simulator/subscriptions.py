"""The subscriptions API: create with validation, read, renew, reauthorize, delete.

Source: the `subscription` operations of the Microsoft Graph v1.0 reference.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any

from flask import Blueprint, Response, request

from simulator import query
from simulator import subscription_rules as rules
from simulator.answers import json_answer
from simulator.gate import Caller, Gate
from simulator.graph_errors import GraphError, extension_error, subscription_not_found
from simulator.lifecycle import EXCLUSIVE_SECONDS
from simulator.subscription_book import Subscription
from simulator.subscription_rules import READERS
from simulator.world import World

log = logging.getLogger(__name__)

MOST_PER_APPLICATION = 100
_ANY_READER = tuple({role for roles in READERS.values() for role in roles})


class Subscriptions:
    """The routes under `/v1.0/subscriptions`."""

    def __init__(self, gate: Gate, world: World) -> None:
        self._gate = gate
        self._world = world

    def routes(self) -> Blueprint:
        blueprint = Blueprint("subscriptions", __name__)
        one = "/subscriptions/<subscription_id>"
        blueprint.add_url_rule("/subscriptions", view_func=self.read_all)
        blueprint.add_url_rule("/subscriptions", view_func=self.create, methods=["POST"])
        blueprint.add_url_rule(one, view_func=self.read)
        blueprint.add_url_rule(one, view_func=self.update, methods=["PATCH"])
        blueprint.add_url_rule(one, view_func=self.delete, methods=["DELETE"])
        blueprint.add_url_rule(f"{one}/reauthorize", view_func=self.reauthorize, methods=["POST"])
        return blueprint

    def create(self) -> Response:
        caller = self._admit("Create")
        fields, target = rules.check_creation(_body())
        self._require(caller, target.object_type, "Create")
        tenant, clock = caller.tenant, caller.tenant.clock
        self._refuse_twin(tenant.subscriptions.twin(fields["resource"], fields["changeType"], caller.client_id))
        self._refuse_excess(caller)
        # Checked before the handshake, as a wish that cannot be granted needs no validation.
        rules.expiry(fields["expirationDateTime"], clock, "Create")
        self._validate(caller, fields["notificationUrl"])
        lifecycle_url = fields.get("lifecycleNotificationUrl")
        if lifecycle_url is not None:
            self._validate(caller, lifecycle_url)
        subscription = Subscription(
            id=str(uuid.uuid4()),
            client_id=caller.client_id,
            creator_id=tenant.application.service_principal_id,
            resource=fields["resource"],
            object_type=target.object_type,
            target_id=target.id,
            relation=target.relation,
            change_type=fields["changeType"],
            notification_url=fields["notificationUrl"],
            lifecycle_url=lifecycle_url,
            client_state=fields.get("clientState"),
            tls_version=fields.get("latestSupportedTlsVersion", "v1_2"),
            expires_at=rules.expiry(fields["expirationDateTime"], clock, "Create"),
            authorized_until=0.0,
        )
        self._world.lifecycle.authorize(tenant, subscription)
        self._refuse_twin(tenant.subscriptions.add(subscription))
        log.info("subscription %s to %s created", subscription.id, subscription.resource)
        return _entity(caller, subscription, 201, reveal=True)

    def read_all(self) -> Response:
        caller = self._admit("Read")
        mine = [each for each in caller.tenant.subscriptions.live() if each.client_id == caller.client_id]
        given = query.options(request.args)
        query.refuse(given, "filter", "orderby", "search", "expand", "top", "select")
        size = int(caller.tenant.faults.value("subscriptions_page_size"))
        start = int(given["skiptoken"]) if given.get("skiptoken", "").isdecimal() else 0
        page = mine[start : start + size]
        body: dict[str, Any] = {
            "@odata.context": f"{caller.root}/$metadata#subscriptions",
            "value": [each.as_json(caller.tenant.clock) for each in page],
        }
        if start + size < len(mine):
            body["@odata.nextLink"] = f"{caller.root}/subscriptions?$skiptoken={start + size}"
        return json_answer(body)

    def read(self, subscription_id: str) -> Response:
        caller = self._admit("Read")
        return _entity(caller, self._find(caller, subscription_id), 200)

    def update(self, subscription_id: str) -> Response:
        caller = self._admit("Update")
        subscription = self._find(caller, subscription_id)
        fields = rules.check_update(_body())
        self._require(caller, subscription.object_type, "Update")
        clock = caller.tenant.clock
        expires_at = subscription.expires_at
        if "expirationDateTime" in fields:
            expires_at = rules.expiry(fields["expirationDateTime"], clock, "Update")
        url = fields.get("notificationUrl", subscription.notification_url)
        if "notificationUrl" in fields or caller.tenant.faults.fires("validate_on_renewal"):
            self._validate(caller, url)
        subscription.notification_url = url
        # It may have expired while the address was being validated.
        self._find(caller, subscription_id)
        subscription.expires_at = expires_at
        subscription.patched_at = clock.now()
        self._note_haste(caller, subscription)
        self._world.lifecycle.authorize(caller.tenant, subscription)
        log.info("subscription %s renewed", subscription.id)
        return _entity(caller, subscription, 200)

    def reauthorize(self, subscription_id: str) -> Response:
        caller = self._admit("Update")
        subscription = self._find(caller, subscription_id)
        self._require(caller, subscription.object_type, "Update")
        subscription.reauthorized_at = caller.tenant.clock.now()
        self._note_haste(caller, subscription)
        self._world.lifecycle.authorize(caller.tenant, subscription)
        log.info("subscription %s reauthorized", subscription.id)
        return Response(status=204)

    def delete(self, subscription_id: str) -> Response:
        caller = self._admit("Delete")
        subscription = self._find(caller, subscription_id)
        caller.tenant.subscriptions.remove(subscription.id)
        log.info("subscription %s deleted", subscription.id)
        return Response(status=204)

    def _admit(self, operation: str) -> Caller:
        caller = self._gate.admit(*_ANY_READER)
        if caller.tenant.faults.fires("transient_forbidden"):
            raise extension_error(403, operation, "ServiceUnavailable", "The workload is temporarily unavailable.")
        return caller

    def _require(self, caller: Caller, object_type: str, operation: str) -> None:
        if not caller.may(*READERS[object_type]):
            reason = f"Caller does not have access to '/{object_type}s' resource"
            raise extension_error(403, operation, "Forbidden", reason)

    def _find(self, caller: Caller, subscription_id: str) -> Subscription:
        found = caller.tenant.subscriptions.get(subscription_id.lower())
        if found is None or found.client_id != caller.client_id:
            raise subscription_not_found()
        return found

    def _refuse_twin(self, twin: Subscription | None) -> None:
        if twin is not None:
            message = f"Subscription Id {twin.id} already exists for the requested combination"
            raise GraphError(409, "ObjectIdentifierInUse", message)

    def _refuse_excess(self, caller: Caller) -> None:
        mine = [each for each in caller.tenant.subscriptions.live() if each.client_id == caller.client_id]
        if len(mine) >= MOST_PER_APPLICATION:
            reason = f"Number of subscriptions of the application in the tenant has reached {MOST_PER_APPLICATION}."
            raise extension_error(403, "Create", "Forbidden", reason)

    def _validate(self, caller: Caller, url: str) -> None:
        timeout = caller.tenant.faults.seconds("handshake_timeout_seconds")
        try:
            self._world.handshakes.validate(url, timeout)
        except GraphError as problem:
            caller.tenant.statistics.handshake("failed")
            log.info("endpoint refused: %s", problem.message)
            raise
        caller.tenant.statistics.handshake("answered")

    def _note_haste(self, caller: Caller, subscription: Subscription) -> None:
        patched, reauthorized = subscription.patched_at, subscription.reauthorized_at
        if patched is not None and reauthorized is not None and abs(patched - reauthorized) < EXCLUSIVE_SECONDS:
            caller.tenant.statistics.violation("renewed and reauthorized within 10 minutes")


def _body() -> Any:
    return request.get_json(force=True, silent=True)


def _entity(caller: Caller, subscription: Subscription, status: int, *, reveal: bool = False) -> Response:
    context = {"@odata.context": f"{caller.root}/$metadata#subscriptions/$entity"}
    return json_answer(context | subscription.as_json(caller.tenant.clock, reveal=reveal), status)
