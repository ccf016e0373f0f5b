"""What a change is called and how it is told to people: a kind such as `user.number_changed` and one sentence."""

from __future__ import annotations

from collections.abc import Collection

from simulator.population import DirectoryObject

_NAMES = {"displayName", "givenName", "surname", "userPrincipalName"}


def user_update(before: DirectoryObject, after: DirectoryObject, changed: Collection[str]) -> tuple[str, str]:
    """Return (kind, sentence) for an update; of several changed properties the most telling one is named."""
    name = before.name
    if "mobilePhone" in changed:
        verb = "changed" if after.properties.get("mobilePhone") else "cleared"
        return "user.number_changed", f"{name} {verb} the mobile number"
    if "businessPhones" in changed:
        return "user.number_changed", f"{name} has another business number"
    if "accountEnabled" in changed:
        enabled = bool(after.properties.get("accountEnabled"))
        return ("user.enabled", f"{name} was enabled") if enabled else ("user.disabled", f"{name} was disabled")
    if _NAMES & set(changed):
        return "user.renamed", f"{name} is now called {after.name}"
    if "manager" in changed:
        return "user.manager_changed", f"{name} has another manager"
    return "user.changed", f"{name}: {', '.join(sorted(changed))} changed"


def group_update(before: DirectoryObject, after: DirectoryObject, changed: Collection[str]) -> tuple[str, str]:
    """Return (kind, sentence) for the update of a group."""
    if "displayName" in changed:
        return "group.renamed", f"Group {before.name} is now called {after.name}"
    return "group.changed", f"Group {before.name}: {', '.join(sorted(changed))} changed"


def came_or_went(subject: DirectoryObject, event: str) -> tuple[str, str]:
    """Return (kind, sentence) for `created`, `removed`, `restored` and `purged`."""
    phrase = {
        "created": "is new in the directory",
        "removed": "was removed",
        "restored": "was restored from the recycle bin",
        "purged": "was deleted for good",
    }[event]
    subject_name = subject.name if subject.type == "user" else f"Group {subject.name}"
    return f"{subject.type}.{event}", f"{subject_name} {phrase}"


def membership(group: DirectoryObject, member: DirectoryObject, *, added: bool) -> tuple[str, str]:
    """Return (kind, sentence) for a join or a leave."""
    if added:
        return "member.added", f"{member.name} joined {group.name}"
    return "member.removed", f"{member.name} left {group.name}"
