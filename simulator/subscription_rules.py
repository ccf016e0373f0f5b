"""What a subscription request has to look like, and what is answered when it does not.

Source: "Create subscription", "Update subscription" and the `subscription` resource of the Microsoft Graph reference;
the wording of errors is what clients report.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from simulator.clock import Clock
from simulator.graph_errors import GraphError, extension_error

SHORTEST_LIFE_SECONDS = 45 * 60.0
# The documented maximum for directory objects is 41,760 minutes; services were seen to refuse the last ten of them.
LONGEST_LIFE_MINUTES = 41_760 - 10
LONGEST_CLIENT_STATE = 128

_CREATION = {
    "changeType",
    "notificationUrl",
    "lifecycleNotificationUrl",
    "resource",
    "expirationDateTime",
    "clientState",
    "latestSupportedTlsVersion",
    "includeResourceData",
    "encryptionCertificate",
    "encryptionCertificateId",
    "notificationQueryOptions",
    "notificationUrlAppId",
    "@odata.type",
}
_UPDATE = {"expirationDateTime", "notificationUrl", "@odata.type"}
_RESOURCE = re.compile(
    r"/?(?P<segment>users|groups)(/(?P<id>[0-9a-f-]{36})(/(?P<relation>members|owners))?)?", re.IGNORECASE
)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d)?)(\.\d+)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE)

READERS: Mapping[str, tuple[str, ...]] = {
    "user": ("User.Read.All", "User.ReadWrite.All", "Directory.Read.All"),
    # GroupMember.Read.All opens the groups delta, but not a subscription to groups.
    "group": ("Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All"),
}


@dataclass(frozen=True)
class Target:
    """What a `resource` string names."""

    object_type: str
    id: str | None
    relation: str | None


def invalid(message: str) -> GraphError:
    return GraphError(400, "ValidationError", message)


def check_creation(body: Any) -> tuple[dict[str, Any], Target]:
    """Return the checked fields of a creation and what it wants to watch; GraphError 400 otherwise."""
    fields = _fields(body, _CREATION)
    for name in ("changeType", "notificationUrl", "resource", "expirationDateTime"):
        if not isinstance(fields.get(name), str) or not fields[name].strip():
            raise invalid(f"The property '{name}' is required for a subscription.")
    target = parse_resource(fields["resource"])
    _check_change_type(fields["changeType"])
    check_url("notificationUrl", fields["notificationUrl"])
    if fields.get("lifecycleNotificationUrl") is not None:
        check_url("lifecycleNotificationUrl", fields["lifecycleNotificationUrl"])
    state = fields.get("clientState")
    if state is not None and (not isinstance(state, str) or len(state) > LONGEST_CLIENT_STATE):
        raise invalid(f"The clientState must be a string of at most {LONGEST_CLIENT_STATE} characters.")
    if fields.get("includeResourceData") or fields.get("encryptionCertificate"):
        raise invalid("Resource data is not supported for this resource.")
    if fields.get("latestSupportedTlsVersion", "v1_2") not in ("v1_0", "v1_1", "v1_2", "v1_3"):
        raise invalid("The value of latestSupportedTlsVersion is not supported.")
    return fields, target


def check_update(body: Any) -> dict[str, Any]:
    """Return the checked fields of an update: expirationDateTime, notificationUrl or both."""
    fields = _fields(body, _UPDATE)
    fields.pop("@odata.type", None)
    if not fields:
        raise invalid("At least one of 'expirationDateTime' and 'notificationUrl' must be given.")
    if "notificationUrl" in fields:
        check_url("notificationUrl", fields["notificationUrl"])
    return fields


def parse_resource(resource: str) -> Target:
    """Return what a resource names; 400 for anything but users, groups, one of them, or a group's members."""
    match = _RESOURCE.fullmatch(resource.strip())
    if match is None or (match["relation"] and match["segment"].lower() == "users"):
        raise extension_error(400, "Create", "BadRequest", "Unsupported workload.")
    return Target(match["segment"].lower().removesuffix("s"), match["id"], match["relation"])


def check_url(name: str, value: Any) -> None:
    """Raise 400 unless the value is an absolute https address."""
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme.lower() != "https" or not parts.hostname or parts.fragment:
        raise invalid(f"The '{name}' must be an absolute https URL.")


def expiry(text: Any, clock: Clock, operation: str) -> float:
    """Return the simulated moment at which the subscription will end.

    What is sooner than 45 minutes from now becomes 45 minutes; the past and more than 29 days are refused.
    """
    moment = _parse_moment(text)
    now, wanted = clock.now(), clock.from_wall(moment)
    if wanted <= now:
        reason = f"Expiration time '{text}' is in the past."
        raise extension_error(400, operation, "BadRequest", reason)
    if wanted > now + LONGEST_LIFE_MINUTES * 60:
        message = f"Subscription expiration can only be {LONGEST_LIFE_MINUTES} minutes in the future."
        raise GraphError(400, "ExtensionError", message)
    return max(wanted, now + SHORTEST_LIFE_SECONDS)


def _parse_moment(text: Any) -> float:
    match = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise invalid("The expirationDateTime must be a date and time with a zone, such as 2026-03-20T11:00:00Z.")
    zone = "+00:00" if match[3].upper() == "Z" else match[3]
    try:
        seconds = datetime.fromisoformat(match[1] + zone).astimezone(UTC).timestamp()
    except ValueError:
        raise invalid("The expirationDateTime is no valid date and time.") from None
    return seconds + float(match[2] or 0)


def _check_change_type(text: str) -> None:
    words = [word.strip().lower() for word in text.split(",")]
    if not set(words) <= {"updated", "deleted"} or len(set(words)) != len(words):
        raise invalid("The changeType of this resource can be 'updated', 'deleted' or both, separated by a comma.")


def _fields(body: Any, allowed: set[str]) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise GraphError(400, "BadRequest", "Unable to read JSON request payload.")
    for name in body:
        if name not in allowed:
            message = f"The property '{name}' cannot be given here for type 'microsoft.graph.subscription'."
            raise GraphError(400, "BadRequest", message)
    return dict(body)
