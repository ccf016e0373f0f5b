"""`entra-sms keys`: who may read the address book over HTTP."""

from __future__ import annotations

import sys
from datetime import datetime, timedelta

import click
import orjson
from sqlalchemy import Connection

from common.clock import to_text
from common.db import api_keys, tenants
from common.db.api_keys import ApiKey
from console import output, times
from console.choice import one_tenant
from console.connection import Installation
from console.exits import ConsoleError

NO_KEY_YET = "There is no key yet. Make the first with: entra-sms keys create NAME"
LONGEST_NAME = 100
LONGEST_DAYS = 3_650


@click.group("keys")
def command() -> None:
    """Make, list and revoke the keys with which programs read the address book over HTTP (entra-sms serve).

    Example: entra-sms keys create Platform --tenant Contoso
    """


@command.command(short_help="Make a key, and show it this once.")
@click.argument("name")
@click.option(
    "--tenant",
    "wanted",
    multiple=True,
    metavar="TENANT",
    help="Whose address book it opens: a name, domain or id; may be given several times, and left out when there is "
    "only one.",
)
@click.option("--all-tenants", is_flag=True, help="It opens all address books, those that are added later too.")
@click.option("--days", type=click.IntRange(1, LONGEST_DAYS), metavar="DAYS", help="It expires after so many days.")
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON, for programs.")
@click.pass_obj
def create(
    installation: Installation,
    /,
    *,
    name: str,
    wanted: tuple[str, ...],
    all_tenants: bool,
    days: int | None,
    as_json: bool,
) -> None:
    """Make a key, and show it this once: only a digest of it is stored.

    NAME says who uses it. The key alone is written to standard output, so that it can go straight to where it is kept:

    Example: entra-sms keys create Platform --tenant Contoso > key.txt
    """
    if all_tenants and wanted:
        raise click.UsageError("--tenant and --all-tenants exclude each other.")
    name = _checked_name(name)
    with installation.database.write() as connection:
        chosen = None if all_tenants else _ids(connection, wanted)
        if any(one.revoked_at is None and one.name == name for one in api_keys.find(connection, name)):
            raise ConsoleError(
                f"There is a key called {output.shown(name)!r} already. Give this one another name, or revoke that one "
                "first: entra-sms keys revoke NAME"
            )
        now = installation.database.now(connection)
        expires_at = now + timedelta(days=days) if days else None
        key, text = api_keys.create(connection, name=name, tenant_ids=chosen, expires_at=expires_at, now=now)
        opened = _tenants_in_words(connection, key)
    if as_json:
        _write_json(_as_json(key) | {"key": text})
        return
    output.say(text)
    until = f" until {times.moment(expires_at)}" if expires_at else ""
    output.note(f"The key {output.shown(name)} opens the address book of {opened}{until}. It is not shown again.")


@command.command("list", short_help="List the keys; never their secrets.")
@click.option("--json", "as_json", is_flag=True, help="Write them as JSON, for programs.")
@click.pass_obj
def list_(installation: Installation, /, *, as_json: bool) -> None:
    """List the keys, whose address books they open, and whether they are in use; never their secrets.

    Example: entra-sms keys list
    """
    with installation.database.read() as connection:
        now = installation.database.now(connection)
        found = [(key, _tenants_in_words(connection, key)) for key in api_keys.find(connection)]
    if as_json:
        _write_json([_as_json(key) | {"state": _state(key, now)} for key, _ in found])
    elif not found:
        output.note(NO_KEY_YET)
    else:
        output.table(
            ("NAME", "KEY ID", "OPENS", "CREATED", "EXPIRES", "STATE"),
            [
                (key.name, key.key_id, opened, _day(key.created_at), _day(key.expires_at), _state(key, now))
                for key, opened in found
            ],
        )


@command.command(short_help="Let nobody read with a key any more, at once.")
@click.argument("name")
@click.pass_obj
def revoke(installation: Installation, /, *, name: str) -> None:
    """Let nobody read with a key any more. It takes effect at once and cannot be taken back.

    NAME is the name of the key or its id, as in: entra-sms keys list

    Example: entra-sms keys revoke Platform
    """
    with installation.database.write() as connection:
        found = api_keys.find(connection, name)
        in_use = [key for key in found if key.revoked_at is None]
        if not in_use:
            why = "was revoked before." if found else "does not exist. List them with: entra-sms keys list"
            raise ConsoleError(f"The key {output.shown(name)!r} {why}")
        if len(in_use) > 1:
            raise ConsoleError(f"{output.shown(name)!r} is the name of one key and the id of another. Give the id.")
        api_keys.revoke(connection, in_use[0].key_id, installation.database.now(connection))
    output.say(f"Revoked {output.shown(in_use[0].name)} ({in_use[0].key_id}).")


def _checked_name(name: str) -> str:
    name = name.strip()
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise click.UsageError(f"NAME must be 1 to {LONGEST_NAME} letters that can be shown.")
    return name


def _ids(connection: Connection, wanted: tuple[str, ...]) -> list[str]:
    found = [one_tenant(connection, one).tenant_id for one in wanted or (None,)]
    return list(dict.fromkeys(found))


def _tenants_in_words(connection: Connection, key: ApiKey) -> str:
    if key.all_tenants:
        return "all tenants"
    names = [tenants.get(connection, tenant_id) for tenant_id in key.tenant_ids]
    return ", ".join(sorted(output.shown(one.name) for one in names if one)) or "no tenant"


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "in use" if key.is_valid(now) else "expired"


def _day(at: datetime | None) -> str:
    return times.minute(at) if at else "never"


def _as_json(key: ApiKey) -> dict[str, object]:
    return {
        "key_id": key.key_id,
        "name": key.name,
        "all_tenants": key.all_tenants,
        "tenant_ids": list(key.tenant_ids),
        "created_at": to_text(key.created_at),
        "expires_at": to_text(key.expires_at) if key.expires_at else None,
        "revoked_at": to_text(key.revoked_at) if key.revoked_at else None,
    }


def _write_json(body: object) -> None:
    sys.stdout.write(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode() + "\n")
