"""A person as shown: a line in a list, and alone: the number first, then where it is from, then everything else."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text
from sqlalchemy import Connection

from common.db.tenants import Tenant
from common.phones import PhoneState
from console import output
from console.output import shown
from console.reads.group_paths import paths_of
from console.reads.people import Person
from console.reads.teams import Team

SOURCES = {"mobile": "the mobile phone", "business": "the business phones"}
WHY_NOT = {
    PhoneState.MISSING: "none: the directory holds no number",
    PhoneState.INVALID: "none: what the directory holds is no valid number",
}


def phone_cell(phone: str | None, state: PhoneState | None) -> Text:
    """Return the number, or in one word why there is none."""
    if state is None or state is PhoneState.OK:
        return Text(shown(phone))
    return Text(state, "yellow" if state is PhoneState.MISSING else "red")


def show_list(shown_people: Sequence[Person], *, with_ids: bool = False, console: Console | None = None) -> None:
    """Print a line for each person, on stdout unless told otherwise."""
    rows: list[list[str | Text | None]] = []
    for person in shown_people:
        number = phone_cell(person.phone, person.phone_state)
        note = note_of(is_guest=person.is_guest, enabled=person.account_enabled)
        row = [person.display_name, number, person.mail or person.user_principal_name, note]
        rows.append([person.object_id, *row] if with_ids else row)
    headings = ["NAME", "NUMBER", "MAIL", "NOTE"]
    output.table(["OBJECT ID", *headings] if with_ids else headings, rows, console=console)


def facts_of(connection: Connection, tenant: Tenant, person: Person) -> list[tuple[str, str | Text]]:
    """Return everything that is known of a person, as names and values."""
    paths = paths_of(connection, tenant.tenant_id, person.object_id)
    return [
        ("Name", shown(person.display_name)),
        ("Number", _number(person)),
        ("Mobile phone", f"{shown(person.mobile_phone)}"),
        ("Business phones", shown(", ".join(person.business_phones))),
        ("Usage location", region_of(tenant, person)),
        ("Mail", shown(person.mail)),
        ("Signs in as", shown(person.user_principal_name)),
        ("Account", {True: "enabled", False: "disabled", None: "not said"}[person.account_enabled]),
        ("Type", "guest" if person.is_guest else shown(person.user_type).lower()),
        ("Object id", person.object_id),
        ("Tenant", shown(tenant.name)),
        ("Groups", names_of([path.team for path in paths if path.is_direct])),
        ("Through groups", names_of([path.team for path in paths if not path.is_direct])),
    ]


def names_of(found: Sequence[Team]) -> str:
    """Return the names on a line each; a group without a name goes by its id."""
    return "\n".join(shown(team.display_name or team.object_id) for team in found) or "-"


def note_of(*, is_guest: bool, enabled: bool | None) -> Text:
    """Return what is unusual about a person."""
    words = (("guest", is_guest), ("disabled", enabled is False))
    return Text(", ".join(word for word, holds in words if holds))


def _number(person: Person) -> Text:
    if person.phone_state is not PhoneState.OK:
        return Text(WHY_NOT[person.phone_state], "yellow")
    source = SOURCES.get(person.phone_source or "", shown(person.phone_source))
    return Text.assemble((shown(person.phone), "bold green"), f" (from {source})")


def region_of(tenant: Tenant, person: Person) -> str:
    """Return the person's region, or in which the numbers are read instead."""
    if person.usage_location:
        return shown(person.usage_location)
    if tenant.default_region:
        return f"- (numbers are read as in {tenant.default_region}, the tenant's default)"
    return "- (and the tenant has no default region: only numbers with a prefix can be read)"
