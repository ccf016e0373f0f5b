"""The company that a simulator starts with: a pure function of seed, number and size.

It holds what real directories hold: guests, disabled accounts, people without numbers and with rubbish for numbers,
the same number twice, nested groups with a cycle and a diamond, devices, service principals and contacts as members,
an empty group, two groups of one name, everybody's group, and a recycle bin that is not empty.
"""

from __future__ import annotations

import random
import string
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from simulator import people
from simulator.application import Application
from simulator.clock import timestamp
from simulator.population import DirectoryObject, Population, Status

_DOMAINS = ("nordwind.example", "alpenglow.example", "bluefin.example", "kestrel.example", "marigold.example")
_FOUNDED_AT = 1_577_836_800
_THREE_YEARS = 94_608_000

# In a hundred people, how many can be reached which way.
_WAYS = ("mobile", "mobile and landline", "business number only", "rubbish", "blank", "number of somebody else", "none")
_WAY_WEIGHTS = (42, 28, 12, 5, 4, 2, 7)


@dataclass
class Company:
    """A founded company and the application registered in its tenant."""

    tenant_id: str
    domain: str
    application: Application
    population: Population = field(default_factory=Population)


def found_company(seed: int, number: int, users: int, groups: int) -> Company:
    """Found the company of tenant `number` with that many live users and groups."""
    source = random.Random(f"company {seed} {number}")
    domain = _DOMAINS[number] if number < len(_DOMAINS) else f"tenant{number}.example"
    secret = "".join(source.choice(string.ascii_letters + string.digits) for _ in range(3))
    secret += "8Q~" + "".join(source.choice(string.ascii_letters + string.digits + "-_.~") for _ in range(34))
    application = Application(client_id=_id(source), client_secret=secret, service_principal_id=_id(source))
    company = Company(_id(source), domain, application)
    _Founder(company, source).found(users, groups)
    return company


@dataclass
class _Founder:
    company: Company
    source: random.Random
    user_ids: list[str] = field(default_factory=list)
    group_ids: list[str] = field(default_factory=list)
    other_ids: dict[str, list[str]] = field(default_factory=dict)
    mail_names: dict[str, int] = field(default_factory=dict)

    @property
    def population(self) -> Population:
        return self.company.population

    def found(self, users: int, groups: int) -> None:
        # The bin is spread over the directory, so removed objects turn up in the middle of initial rounds.
        binned = max(1, users // 100) if users else 0
        distance = (users + binned) // (binned + 1)
        in_bin = {distance * number for number in range(1, binned + 1)}
        for index in range(users + binned):
            self._hire(in_bin=index in in_bin)
        for kind, many in (("device", max(5, users // 20)), ("servicePrincipal", 6), ("orgContact", 8)):
            self.other_ids[kind] = [self._equip(kind, index) for index in range(many)]
        self._found_groups(groups)

    # People

    def _hire(self, *, in_bin: bool) -> None:
        person = people.draw_person(self.source)
        mail_name = self._free_mail_name(person.mail_name)
        guest = self.source.random() < 0.04
        values = self._guest(person, mail_name) if guest else self._member(person, mail_name)
        values |= self._numbers(person.country)
        user_id = _id(self.source)
        if in_bin:
            values["deletedDateTime"] = timestamp(_FOUNDED_AT + _THREE_YEARS)
            values["userPrincipalName"] = user_id.replace("-", "") + values["userPrincipalName"]
        manager = self.source.choice(self.user_ids) if self.user_ids and self.source.random() < 0.7 else None
        status: Status = "deleted" if in_bin else "live"
        self.population.put(DirectoryObject(user_id, "user", values, status, manager=manager))
        if not in_bin:
            self.user_ids.append(user_id)

    def _member(self, person: people.Person, mail_name: str) -> dict[str, Any]:
        source, country = self.source, person.country
        address = f"{mail_name}@{self.company.domain}"
        values: dict[str, Any] = {
            "displayName": person.display_name,
            "givenName": person.given_name,
            "surname": person.surname,
            "userPrincipalName": address,
            "mailNickname": mail_name,
            "accountEnabled": source.random() >= 0.05,
            "createdDateTime": timestamp(_FOUNDED_AT + source.randrange(_THREE_YEARS)),
            "userType": "Member",
        }
        # What nobody ever filled in stays absent, and that is another thing than empty.
        optional = (
            ("mail", 0.95, address),
            ("usageLocation", 0.94, country.code),
            ("country", 0.6, country.name if source.random() < 0.7 else country.code),
            ("city", 0.5, source.choice(country.cities)),
            ("preferredLanguage", 0.3, country.language),
            ("department", 0.85, people.draw_department(source)),
            ("jobTitle", 0.8, people.draw_title(source)),
            ("officeLocation", 0.5, f"{source.choice('ABC')}{source.randint(1, 9)}.{source.randint(10, 99)}"),
            ("companyName", 0.4, self.company.domain.partition(".")[0].title()),
            ("employeeId", 0.7, str(source.randint(10_000, 99_999))),
        )
        return values | {name: value for name, share, value in optional if source.random() < share}

    def _guest(self, person: people.Person, mail_name: str) -> dict[str, Any]:
        outside = f"{mail_name}@partner.example"
        return {
            "displayName": f"{person.display_name} (Partner)",
            "userPrincipalName": f"{outside.replace('@', '_')}#EXT#@{self.company.domain}",
            "mail": outside,
            "accountEnabled": True,
            "userType": "Guest",
            "externalUserState": self.source.choice(("Accepted", "PendingAcceptance")),
            "createdDateTime": timestamp(_FOUNDED_AT + self.source.randrange(_THREE_YEARS)),
        }

    def _numbers(self, country: people.Country) -> dict[str, Any]:
        """Draw how a person can be reached: mostly by mobile, often only otherwise, sometimes not at all."""
        source = self.source
        mobile = people.draw_mobile(source, country)
        values: dict[str, Any] = {"mobilePhone": mobile, "businessPhones": []}
        match source.choices(_WAYS, _WAY_WEIGHTS)[0]:
            case "mobile and landline":
                values["businessPhones"] = [people.draw_landline(source, country)]
            case "business number only":
                values = {"businessPhones": [source.choice((mobile, people.draw_landline(source, country)))]}
            case "rubbish":
                values["mobilePhone"] = source.choice(people.RUBBISH)
                values["businessPhones"] = source.choice(([], [], [mobile]))
            case "blank":
                values["mobilePhone"] = source.choice(("", " ", "   ", None))
            case "number of somebody else":
                values["mobilePhone"] = self._number_of_somebody() or mobile
            case "none":
                values = source.choice(({}, {"businessPhones": []}))
        return values

    def _number_of_somebody(self) -> str | None:
        if not self.user_ids:
            return None
        colleague = self.population.objects[self.source.choice(self.user_ids)]
        return colleague.properties.get("mobilePhone")

    def _free_mail_name(self, wanted: str) -> str:
        taken = self.mail_names.get(wanted, 0)
        self.mail_names[wanted] = taken + 1
        return f"{wanted}{taken + 1}" if taken else wanted

    def _equip(self, kind: str, index: int) -> str:
        name = {"device": f"NB-{index:05d}", "servicePrincipal": f"App {index}", "orgContact": f"Supplier {index}"}[
            kind
        ]
        equipped = DirectoryObject(_id(self.source), kind, {"displayName": name})
        self.population.put(equipped)
        return equipped.id

    # Groups

    def _found_groups(self, wanted: int) -> None:
        for number, (name, kind, members) in enumerate(self._group_plans()):
            if number >= wanted:
                break
            self._group(name, kind, members)
        self._nest()
        if wanted:
            for name in ("Project Zeppelin", "Temporary Task Force"):
                self._group(name, "microsoft365", self._some(4), in_bin=True)

    def _group_plans(self) -> Iterator[tuple[str, str, list[str]]]:
        devices, apps, contacts = (self.other_ids[kind] for kind in ("device", "servicePrincipal", "orgContact"))
        yield "Everyone", "security", self.user_ids + devices + apps
        # The next three form a cycle, the four after them a diamond.
        yield "Region North", "security", self._some(6)
        yield "Region Centre", "security", self._some(6)
        yield "Region South", "security", self._some(6)
        yield "Management", "security", self._some(3)
        yield "Board", "security", self._some(4)
        yield "Heads of Department", "security", self._some(8)
        yield "Key Account", "microsoft365", self._some(5)
        yield "Newcomers", "security", []
        yield "Project Phoenix", "microsoft365", self._some(9)
        yield "Project Phoenix", "distribution", self._some(7)
        yield "Suppliers", "distribution", contacts + self._some(2)
        yield "Field Devices", "security", devices[:40]
        yield "Night Shift", "mail-enabled security", self._some(12)
        number = 1
        while True:
            kind = self.source.choice(("security", "microsoft365", "distribution", "mail-enabled security"))
            size = self.source.choice((2, 4, 8, 15, 30, 60))
            yield f"{people.draw_department(self.source)} Team {number}", kind, self._some(size)
            number += 1

    def _nest(self) -> None:
        nested = ((1, 2), (2, 3), (3, 1), (4, 5), (4, 6), (5, 7), (6, 7))
        for parent, child in nested:
            if max(parent, child) < len(self.group_ids):
                self.population.link(self.group_ids[parent], self.group_ids[child])

    def _group(self, name: str, kind: str, members: list[str], *, in_bin: bool = False) -> None:
        values = group_values(name, kind, self.company.domain, len(self.group_ids))
        values["createdDateTime"] = timestamp(_FOUNDED_AT + self.source.randrange(_THREE_YEARS))
        if in_bin:
            values["deletedDateTime"] = timestamp(_FOUNDED_AT + _THREE_YEARS)
        group_id = _id(self.source)
        self.population.put(DirectoryObject(group_id, "group", values, "deleted" if in_bin else "live"))
        for member in members:
            self.population.link(group_id, member)
        if not in_bin:
            self.group_ids.append(group_id)

    def _some(self, many: int) -> list[str]:
        return self.source.sample(self.user_ids, min(many, len(self.user_ids)))


def group_values(name: str, kind: str, domain: str, number: int) -> dict[str, Any]:
    """Return the properties that make a group of that kind; the description is left out now and then."""
    nickname = f"{people.plain(name).replace(' ', '-')}-{number}"
    mail_enabled, unified = kind != "security", kind == "microsoft365"
    values: dict[str, Any] = {
        "displayName": name,
        "mailEnabled": mail_enabled,
        "securityEnabled": kind in ("security", "mail-enabled security"),
        "mailNickname": nickname,
        "groupTypes": ["Unified"] if unified else [],
    }
    if mail_enabled:
        values["mail"] = f"{nickname}@{domain}"
    if unified:
        values["visibility"] = "Private"
    if number % 3:
        values["description"] = f"{name} of {domain}"
    return values


def _id(source: random.Random) -> str:
    return str(uuid.UUID(int=source.getrandbits(128), version=4))
