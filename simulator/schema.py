"""Which properties users and groups have, of what kind, and which of them delta queries can see.

Source: the `user` and `group` resource pages of the Microsoft Graph v1.0 reference, and their notes on properties
that are stored outside the main directory store and therefore are not tracked by delta queries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_LONGEST_TEXT = 1024


@dataclass(frozen=True)
class Schema:
    """The properties of one object type.

    Attributes:
        type: `user` or `group`.
        kinds: Property name to `text`, `flag` or `list` (of text), for everything delta can track.
        untracked: Names that exist on the object but outside the main store.
        default: What is returned when nothing is selected.
        relations: What a delta query may select besides properties.
    """

    type: str
    kinds: Mapping[str, str]
    untracked: frozenset[str]
    default: tuple[str, ...]
    relations: frozenset[str]
    limits: Mapping[str, int]

    @property
    def segment(self) -> str:
        """The path segment: `users` or `groups`."""
        return f"{self.type}s"

    @property
    def odata_type(self) -> str:
        return f"#microsoft.graph.{self.type}"

    def canonical(self, name: str) -> str | None:
        """Return a property or relation name as the service spells it, None when there is none such."""
        wanted = name.lower()
        everything = ("id", *self.kinds, *self.untracked, *self.relations)
        return next((known for known in everything if known.lower() == wanted), None)

    def empty(self, name: str) -> Any:
        """Return what an object read shows for a property that holds nothing."""
        return [] if self.kinds.get(name) == "list" else None

    def check(self, values: Mapping[str, Any]) -> None:
        """Raise ValueError with a sentence when a property does not exist or cannot hold its value."""
        for name, value in values.items():
            if name not in self.kinds and name not in self.untracked:
                raise ValueError(f"A {self.type} has no property '{name}' that can be set.")
            self._check_value(name, value)

    def _check_value(self, name: str, value: Any) -> None:
        kind = self.kinds.get(name, "text")
        if value is None:
            return
        if kind == "flag" and not isinstance(value, bool):
            raise ValueError(f"{name} is true, false or null.")
        if kind == "list" and not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise ValueError(f"{name} is a list of strings.")
        if kind == "text":
            longest = self.limits.get(name, _LONGEST_TEXT)
            if not isinstance(value, str) or len(value) > longest:
                raise ValueError(f"{name} is a string of at most {longest} characters, or null.")


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _kinds(text: str, flags: str, lists: str) -> dict[str, str]:
    return (
        dict.fromkeys(text.split(), "text")
        | dict.fromkeys(flags.split(), "flag")
        | dict.fromkeys(lists.split(), "list")
    )


USER = Schema(
    type="user",
    kinds=_kinds(
        text="displayName givenName surname jobTitle mail mobilePhone officeLocation preferredLanguage"
        " userPrincipalName userType usageLocation country department companyName employeeId employeeType"
        " externalUserState createdDateTime deletedDateTime city state streetAddress postalCode faxNumber mailNickname",
        flags="accountEnabled onPremisesSyncEnabled",
        lists="businessPhones otherMails proxyAddresses",
    ),
    untracked=_names(
        "signInActivity cloudLicensing mailboxSettings deviceEnrollmentLimit print aboutMe birthday hireDate interests"
        " mySite pastProjects preferredName responsibilities schools skills"
    ),
    default=(
        "businessPhones",
        "displayName",
        "givenName",
        "jobTitle",
        "mail",
        "mobilePhone",
        "officeLocation",
        "preferredLanguage",
        "surname",
        "userPrincipalName",
    ),
    relations=frozenset({"manager"}),
    limits={"mobilePhone": 64, "displayName": 256, "givenName": 64, "surname": 64, "country": 128, "usageLocation": 2},
)

GROUP = Schema(
    type="group",
    kinds=_kinds(
        text="displayName description mail mailNickname membershipRule visibility createdDateTime deletedDateTime"
        " classification preferredDataLocation",
        flags="mailEnabled securityEnabled isAssignableToRole onPremisesSyncEnabled",
        lists="groupTypes proxyAddresses",
    ),
    untracked=_names(
        "accessType allowExternalSenders autoSubscribeNewMembers cloudLicensing hideFromAddressLists"
        " hideFromOutlookClients isFavorite isSubscribedByMail unseenConversationsCount unseenCount"
        " unseenMessagesCount membershipRuleProcessingStatus isArchived"
    ),
    default=(
        "createdDateTime",
        "description",
        "displayName",
        "groupTypes",
        "mail",
        "mailEnabled",
        "mailNickname",
        "membershipRule",
        "proxyAddresses",
        "securityEnabled",
        "visibility",
    ),
    relations=frozenset({"members", "owners"}),
    limits={"displayName": 256, "mailNickname": 64},
)

SCHEMAS: Mapping[str, Schema] = {"user": USER, "group": GROUP}

# Types that can be members of a group besides users and groups.
OTHER_MEMBER_TYPES = ("device", "servicePrincipal", "orgContact")

# Basic profile: all that User.ReadBasic.All lets an application see.
BASIC_PROFILE = frozenset({"id", "displayName", "givenName", "mail", "surname", "userPrincipalName"})
