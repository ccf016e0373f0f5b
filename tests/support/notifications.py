"""Notification items as Graph sends them, with a `clientState` that proves them."""

from typing import Any
from uuid import uuid4

from common.client_state import ClientStates
from common.messages import Stream

SECRET_KEY = "a-server-key-of-the-tests-0123456789"
TENANT = "9c110000-0000-4000-8000-0000000000aa"
OTHER_TENANT = "9c110000-0000-4000-8000-0000000000bb"


def guid() -> str:
    return str(uuid4())


def change(
    states: ClientStates, stream: Stream, *, tenant: str = TENANT, object_id: str | None = None, **fields: Any
) -> dict[str, Any]:
    """A change notification as observed: capitalised resource, no id of its own, a number beyond 2^53."""
    object_id = object_id or guid()
    resource = f"{stream.value.capitalize()}/{object_id}"
    return {
        "changeType": "updated",
        "clientState": states.make(tenant, stream),
        "resource": resource,
        "resourceData": {
            "@odata.type": f"#Microsoft.Graph.{stream.value.capitalize()[:-1]}",
            "@odata.id": resource,
            "id": object_id,
            "organizationId": tenant,
            "eventTime": "2026-03-02T08:15:30.1234567Z",
            "sequenceNumber": 639080361301234567,
        },
        "subscriptionExpirationDateTime": "2026-03-20T00:00:00+00:00",
        "subscriptionId": guid(),
        "tenantId": tenant,
    } | fields


def lifecycle(
    states: ClientStates, stream: Stream, event: str, *, tenant: str = TENANT, **fields: Any
) -> dict[str, Any]:
    """A lifecycle notification: it names no resource."""
    return {
        "subscriptionId": guid(),
        "subscriptionExpirationDateTime": "2026-03-20T00:00:00.0000000Z",
        "tenantId": tenant,
        "clientState": states.make(tenant, stream),
        "lifecycleEvent": event,
    } | fields
