"""`entra-sms check`: whether this installation can work, by looking and without changing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TextIO

import click
import orjson
from rich.text import Text

from common.errors import EntraSmsError
from console import (
    check_broker,
    check_database,
    check_microsoft,
    check_public_url,
    check_settings,
    check_tenants,
    output,
)
from console.check_broker import Management
from console.check_settings import Reading
from console.check_tenants import Known
from console.choice import NO_TENANT_YET
from console.connection import Installation
from console.exits import Exit
from console.finding import Finding, Verdict, exit_code, of_error, skipped

Part = tuple[str, Iterator[Finding]]
"""What is looked at, as a heading, and what is found, as it is found."""

MICROSOFT = ("graph_url", "login_url", "clouds", "ca_bundle")
TENANTS = (*MICROSOFT, "database_url", "secret_key", "secret_key_previous")
READABLE = ("database.address", "database.schema")
"""What has to be fine before tenants can be read."""


@click.command("check")
@click.option("--tenant", metavar="TENANT", help="Look at this tenant alone: its name, domain or id.")
@click.option(
    "--management-url",
    metavar="URL",
    help="RabbitMQ's management address, to look at bindings too, e.g. http://monitor@127.0.0.1:15672.",
)
@click.option(
    "--management-password-file",
    metavar="PATH",
    type=click.File(encoding="utf-8"),
    help="File with the password for it; - reads it from standard input. Without: the account of ENTRA_SMS_AMQP_URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON, for programs.")
@click.pass_obj
def command(
    installation: Installation,
    /,
    *,
    tenant: str | None,
    management_url: str | None,
    management_password_file: TextIO | None,
    as_json: bool,
) -> Exit:
    """Check whether this installation can work, from the settings to the subscriptions at Graph.

    Nothing is changed, no secret is shown, and the check goes on after a trouble. The exit code is 0 when there is
    none, the code of the trouble (docs/console.md), or 1 when there are several kinds.

    Example: entra-sms check
    """
    findings: list[Finding] = []
    password = management_password_file.readline().strip() if management_password_file else None
    management = Management.of(management_url, password) if management_url else None
    for title, part in _parts(installation, tenant, management, findings):
        if not as_json:
            output.say(Text(title, "bold"))
        for finding in part:
            findings.append(finding)
            if not as_json:
                _show(finding)
    if as_json:
        sys.stdout.write(orjson.dumps(_body(findings), option=orjson.OPT_INDENT_2).decode() + "\n")
    else:
        _conclude(findings)
    return exit_code(findings)


def _parts(
    installation: Installation, wanted: str | None, management: Management | None, findings: Sequence[Finding]
) -> Iterator[Part]:
    """Yield the parts, each when those before it have been looked at; `findings` are what was found by then."""
    reading = check_settings.read()
    settings = reading.settings
    installation.settle_for(settings)
    yield "Settings", check_settings.look(reading)
    yield "Database", _unless(reading, "database", ("database_url",), check_database.look(settings))
    known, unknown = _known(reading, wanted, findings)
    yield "RabbitMQ", _unless(reading, "rabbitmq", ("amqp_url",), check_broker.look(settings, management))
    yield (
        "Public address, called from this machine (Graph calls from the internet)",
        _unless(reading, "public_url", ("public_url", *MICROSOFT), check_public_url.look(settings)),
    )
    clouds = check_tenants.clouds(settings, known)
    yield "Microsoft", _unless(reading, "microsoft", MICROSOFT, check_microsoft.look(settings, clouds))
    if unknown is not None:
        yield "Tenants", iter([unknown])
    for one in known:
        found = check_tenants.look(one, settings, installation.graph_of)
        yield f"Tenant {output.shown(one.tenant.name)}", found


def _known(reading: Reading, wanted: str | None, findings: Sequence[Finding]) -> tuple[list[Known], Finding | None]:
    """Return the tenants to look at, or why there is none."""
    lacking = reading.lacks(*TENANTS)
    readable = all(one.verdict is Verdict.FINE for one in findings if one.name in READABLE)
    if lacking or not readable:
        reason = "the database cannot be read as it is" if not lacking else _named(lacking)
        return [], skipped("tenant.state", f"Not looked at: {reason}.")
    try:
        known = check_tenants.known(reading.settings, wanted)
    except EntraSmsError as error:
        return [], of_error("tenant.state", error)
    return known, None if known else skipped("tenant.state", NO_TENANT_YET)


def _unless(reading: Reading, part: str, settings: Sequence[str], found: Iterator[Finding]) -> Iterator[Finding]:
    """Return what is `found`, unless a setting that it takes cannot be used."""
    lacking = reading.lacks(*settings)
    return iter([skipped(f"{part}.settings", f"Not looked at: {_named(lacking)}.")]) if lacking else found


def _named(settings: Sequence[str]) -> str:
    return f"{' and '.join(f'ENTRA_SMS_{name.upper()}' for name in settings)} cannot be used"


def _show(finding: Finding) -> None:
    marks = {
        Verdict.FINE: output.tick(works=True),
        Verdict.WARNING: Text("!", "bold yellow"),
        Verdict.TROUBLE: output.tick(works=False),
        Verdict.SKIPPED: Text("-", "dim"),
    }
    output.item(marks[finding.verdict], finding.sentence)


def _conclude(findings: Sequence[Finding]) -> None:
    troubles = sum(finding.verdict is Verdict.TROUBLE for finding in findings)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in findings)
    output.say()
    if troubles:
        text = f"{output.plural(troubles, 'trouble')} to mend."
    elif warnings:
        text = f"It can work. {output.plural(warnings, 'thing')} to look after."
    else:
        text = "It can work."
    output.say(Text.assemble(output.tick(works=not troubles), f" {text}"))


def _body(findings: Sequence[Finding]) -> dict[str, Any]:
    """Return everything for programs. Names of fields and of checks are kept; new ones may come."""
    return {
        "healthy": exit_code(findings) is Exit.OK,
        "checks": [
            {
                "name": finding.name,
                "tenant_id": finding.tenant_id,
                "verdict": finding.verdict,
                "text": finding.text,
                "advice": finding.advice or None,
            }
            for finding in findings
        ],
    }
