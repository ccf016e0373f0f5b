"""What has to be known of a tenant before it is saved: asked for, checked field by field, all mistakes told at once."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import UUID

import click

from common.db.tenants import USUAL_RECIPIENT_RULE, USUAL_REMOVAL_LIMIT, RecipientRule, RemovalLimit, Tenant
from common.graph.credentials import ClientCertificate
from common.phones import is_region
from console import output

WHERE_IDS_ARE = "it is on the application's Overview page in the Entra admin center"
_DATE = re.compile(r"\d{4}-\d\d-\d\d")
_DOMAIN = re.compile(r"[^\s@/:]+\.[^\s@/:.]+")


@dataclass(frozen=True)
class Field:
    """One thing to know: its option, what it is called, how it is checked, and why it is needed.

    What is not `asked` for in the dialogue is taken from its option alone.
    """

    name: str
    label: str
    check: Callable[[str], str]
    required: bool = True
    asked: bool = True
    hidden: bool = False
    skipped: str = "none"
    purpose: str = ""

    @property
    def option(self) -> str:
        return "--client-secret-file" if self.name == "client_secret" else f"--{self.name.replace('_', '-')}"


def guid(text: str) -> str:
    try:
        return str(UUID(text.strip()))
    except ValueError:
        raise ValueError(f"must be a GUID such as 1b2c3d4e-0000-4000-8000-123456789abc; {WHERE_IDS_ARE}") from None


def group_id(text: str) -> str:
    """Return the object id of a group.

    Raises:
        click.UsageError: it is none.
    """
    try:
        return str(UUID(text.strip()))
    except ValueError:
        raise click.UsageError(
            f"--scope-group: {text!r} is no object id of a group; the Entra admin center shows it on the group's page."
        ) from None


def client_secret(text: str) -> str:
    secret = text.removeprefix("\ufeff").strip()
    if not secret:
        raise ValueError("is empty")
    if any(letter.isspace() or not letter.isprintable() for letter in secret):
        raise ValueError("has spaces or several lines in it; give the secret's Value and nothing else")
    if _is_guid(secret):
        raise ValueError(
            "is a GUID, so it is the Secret ID. Copy the column Value beside it; Entra shows it only right after the "
            "secret was made, so you may have to make a new one"
        )
    return secret


def name(text: str) -> str:
    words = " ".join(text.split())
    if not words or words == "*" or _is_guid(words) or not words.isprintable():
        raise ValueError("must be a name such as Contoso")
    return words


def domain(text: str) -> str:
    lowered = text.strip().lower()
    if not _DOMAIN.fullmatch(lowered):
        raise ValueError("must be a domain such as contoso.com")
    return lowered


def region(text: str) -> str:
    code = text.strip().upper()
    if not is_region(code):
        raise ValueError("must be a country in two letters, e.g. PL, DE or GB (the United Kingdom is GB)")
    return code


def agreement_reference(text: str) -> str:
    words = " ".join(text.split())
    if not words:
        raise ValueError("is empty; it is the number or name under which the agreement is filed")
    return words


def agreement_date(text: str) -> str:
    day = _date(text)
    if day > datetime.now(UTC).astimezone().date():
        raise ValueError("lies in the future; nothing is read before the agreement is signed")
    return day.isoformat()


def expires(text: str) -> str:
    day = _date(text)
    if day <= datetime.now(UTC).date():
        raise ValueError("does not lie in the future; it is the day that Entra shows beside the secret")
    return day.isoformat()


def moment_of(day: str | None) -> datetime | None:
    """Return the beginning of a day that `expires` has checked: the secret may end at any hour of it."""
    return None if day is None else datetime.fromisoformat(day).replace(tzinfo=UTC)


def cloud(text: str) -> str:
    return text.strip().lower()


def removal_limit(text: str) -> str:
    return _whole_number(text, highest=1_000_000, such_as="50: so many may leave within a day unasked")


def removal_limit_percent(text: str) -> str:
    return _whole_number(text, highest=100, such_as="10, up to 100: so much of the book may leave within a day unasked")


def yes_or_no(text: str) -> str:
    word = text.strip().lower()
    if word not in (YES, NO):
        raise ValueError("must be yes or no")
    return word


YES, NO = "yes", "no"
AGREEMENT = "nothing is read before a data processing agreement is on record"

FIELDS = (
    Field("tenant_id", "Directory (tenant) ID", guid, purpose=WHERE_IDS_ARE),
    Field("name", "Name of the tenant", name, purpose="what you will call it, e.g. Contoso"),
    Field("domain", "Domain, e.g. contoso.com", domain, required=False),
    Field("client_id", "Application (client) ID", guid, purpose=WHERE_IDS_ARE),
    Field(
        "client_secret",
        "Client secret (its Value; not shown while you type)",
        client_secret,
        hidden=True,
        purpose="a file with the secret's Value, or - for standard input; or --certificate-file",
    ),
    Field("expires", "Day on which it expires, YYYY-MM-DD", expires, required=False, skipped="unknown"),
    Field("cloud", "Cloud", cloud, required=False, asked=False),
    Field("default_region", "Country of numbers without a prefix, e.g. PL", region, required=False),
    Field("agreement_reference", "Data processing agreement, reference", agreement_reference, purpose=AGREEMENT),
    Field("agreement_date", "Data processing agreement, date (YYYY-MM-DD)", agreement_date, purpose=AGREEMENT),
    Field("removal_limit", "Removal limit, a number", removal_limit, required=False, asked=False),
    Field("removal_limit_percent", "Removal limit, percent", removal_limit_percent, required=False, asked=False),
    Field("disabled_recipients", "Disabled accounts are recipients", yes_or_no, required=False, asked=False),
    Field("guest_recipients", "Guests are recipients", yes_or_no, required=False, asked=False),
)


def stored_values(tenant: Tenant) -> dict[str, str]:
    """Return what is known of `tenant`, except for the secret, which stays sealed."""
    values = {
        "tenant_id": tenant.tenant_id,
        "name": tenant.name,
        "domain": tenant.domain,
        "client_id": tenant.client_id,
        "cloud": tenant.cloud,
        "default_region": tenant.default_region,
        "agreement_reference": tenant.agreement.reference,
        "agreement_date": tenant.agreement.signed_on.isoformat(),
    }
    return {name: value for name, value in values.items() if value is not None}


def given_removal_limit(given: Mapping[str, str], stored: Tenant | None) -> RemovalLimit | None:
    """Return the removal limit with what was given of it; None: nothing was, and it stays as it is."""
    count, percent = given.get("removal_limit"), given.get("removal_limit_percent")
    if count is None and percent is None:
        return None
    known = USUAL_REMOVAL_LIMIT if stored is None else stored.removal_limit
    return RemovalLimit(
        count=known.count if count is None else int(count),
        percent=known.percent if percent is None else int(percent),
    )


def given_recipient_rule(given: Mapping[str, str], stored: Tenant | None) -> RecipientRule | None:
    """Return who is a recipient with what was given of it; None: nothing was, and it stays as it is."""
    disabled, guests = given.get("disabled_recipients"), given.get("guest_recipients")
    if disabled is None and guests is None:
        return None
    known = USUAL_RECIPIENT_RULE if stored is None else stored.recipient_rule
    return RecipientRule(
        disabled=known.disabled if disabled is None else disabled == YES,
        guests=known.guests if guests is None else guests == YES,
    )


def checked(given: Mapping[str, str | None]) -> dict[str, str]:
    """Return the given values in their proper form.

    Raises:
        click.UsageError: names every value that cannot be right.
    """
    values: dict[str, str] = {}
    troubles: list[str] = []
    for field in FIELDS:
        text = given.get(field.name)
        if text is None:
            continue
        try:
            values[field.name] = field.check(text)
        except ValueError as trouble:
            troubles.append(f"{field.option} {trouble}.")
    if troubles:
        raise click.UsageError("\n".join(troubles))
    return values


def missing(values: Mapping[str, str], stored: Tenant | None, certificate: ClientCertificate | None) -> list[Field]:
    """Return the fields that cannot be left out and are neither given nor stored; a certificate replaces a secret."""
    if stored is not None:
        return []
    given = {*values, "client_secret"} if certificate is not None else {*values}
    return [field for field in FIELDS if field.required and field.name not in given]


def refuse_missing(fields: list[Field]) -> None:
    """Stop when something is missing and nobody is there to be asked."""
    if fields:
        width = max(len(field.option) for field in fields)
        lines = [f"  {field.option:{width}}  {field.label}: {field.purpose}." for field in fields]
        lines = [line.replace(" (its Value; not shown while you type)", "") for line in lines]
        raise click.UsageError("These are missing, and there is no terminal to ask on:\n" + "\n".join(lines))


def ask(values: dict[str, str], stored: Tenant | None, certificate: ClientCertificate | None) -> dict[str, str]:
    """Ask for the fields that were not given; Enter keeps what is stored, or skips what is not needed."""
    known = stored_values(stored) if stored is not None else {}
    answers = dict(values)
    for field in FIELDS:
        if field.name == "client_secret" and certificate is not None:
            continue
        if field.name == "expires" and "client_secret" not in answers:
            continue  # of a certificate it is known, and of a secret that stays it stays
        if field.asked and field.name not in answers:
            answer = _ask_for(field, known.get(field.name), may_skip=stored is not None or not field.required)
            if answer:
                answers[field.name] = answer
    return answers


def ask_for(field_name: str) -> str:
    """Ask for the one field that cannot be left out."""
    return _ask_for(next(field for field in FIELDS if field.name == field_name), None, may_skip=False)


def read_secret(path: str | None) -> str | None:
    """Read the secret from a file, or from standard input for ``-``.

    Raises:
        click.UsageError: there is no such file, or it cannot be read.
    """
    if path is None:
        return None
    if path == "-":
        return sys.stdin.readline()
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise click.UsageError(f"--client-secret-file: {path!r} cannot be read ({reason}).") from None


def _ask_for(field: Field, stored: str | None, *, may_skip: bool) -> str:
    hint = ""
    if may_skip:
        hint = f" [{stored}]" if stored else " [Enter: unchanged]" if field.hidden else f" [Enter: {field.skipped}]"
    while True:
        text: str = click.prompt(
            f"{field.label}{hint}", default="", show_default=False, hide_input=field.hidden, err=True
        )
        if not text.strip() and may_skip:
            return ""
        try:
            return field.check(text)
        except ValueError as trouble:
            output.note(f"  That {trouble}.")


def _date(text: str) -> date:
    try:
        if _DATE.fullmatch(text.strip()):
            return date.fromisoformat(text.strip())
    except ValueError:
        pass
    raise ValueError("must be a date such as 2026-03-02")


def _whole_number(text: str, *, highest: int, such_as: str) -> str:
    digits = text.strip()
    if not digits.isascii() or not digits.isdecimal() or int(digits) > highest:
        raise ValueError(f"must be a whole number such as {such_as}")
    return digits


def _is_guid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True
