"""`entra-sms check`: whether this installation can work, by looking and without changing anything."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

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
from console.check_settings import Reading
from console.connection import Installation
from console.exits import Exit
from console.finding import Finding, Verdict, exit_code, of_error, skipped

Part = tuple[str, Iterator[Finding]]
"""What is looked at, as a heading, and what is found, as it is found."""

MICROSOFT = ("graph_url", "login_url", "ca_bundle")
TENANTS = (*MICROSOFT, "database_url", "secret_key", "secret_key_previous")
READABLE = ("database.address", "database.schema")
"""What has to be fine before tenants can be read."""


@click.command("check")
@click.option("--tenant", metavar="TENANT", help="Look at this tenant alone: its name, domain or id.")
@click.option(
    "--management-url",
    metavar="URL",
    help="RabbitMQ's management address, to look at bindings too; with the user of ENTRA_SMS_AMQP_URL.",
)
@click.option("--json", "as_json", is_flag=True, help="Write it as JSON, for programs.")
@click.pass_obj
def command(installation: Installation, /, *, tenant: str | None, management_url: str | None, as_json: bool) -> Exit:
    """Check whether this installation can work, from the settings to the subscriptions at Graph.

    Nothing is changed, no secret is shown, and the check goes on after a trouble. The exit code is 0 when there is
    none, the code of the trouble (docs/console.md), or 1 when there are several kinds.

    Example: entra-sms check
    """
    findings: list[Finding] = []
    for title, part in _parts(installation, tenant, management_url, findings):
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
    installation: Installation, wanted: str | None, management_url: str | None, findings: Sequence[Finding]
) -> Iterator[Part]:
    """Yield the parts, each when those before it have been looked at; `findings` are what was found by then."""
    reading = check_settings.read()
    settings = reading.settings
    installation.settle_for(settings)
    yield "Settings", check_settings.look(reading)
    yield "Database", _unless(reading, "database", ("database_url",), check_database.look(settings))
    yield "RabbitMQ", _unless(reading, "rabbitmq", ("amqp_url",), check_broker.look(settings, management_url))
    yield (
        "Public address, called from this machine (Graph calls from the internet)",
        _unless(reading, "public_url", ("public_url", *MICROSOFT), check_public_url.look(settings)),
    )
    yield "Microsoft", _unless(reading, "microsoft", MICROSOFT, check_microsoft.look(settings))
    yield from _tenants(installation, wanted, reading, findings)


def _tenants(
    installation: Installation, wanted: str | None, reading: Reading, findings: Sequence[Finding]
) -> Iterator[Part]:
    lacking = reading.lacks(*TENANTS)
    readable = all(one.verdict is Verdict.FINE for one in findings if one.name in READABLE)
    if lacking or not readable:
        reason = "the database cannot be read as it is" if not lacking else _named(lacking)
        yield "Tenants", iter([skipped("tenant.state", f"Not looked at: {reason}.")])
        return
    try:
        known = check_tenants.known(reading.settings, wanted)
    except EntraSmsError as error:
        yield "Tenants", iter([of_error("tenant.state", error)])
        return
    if not known:
        yield "Tenants", iter([check_tenants.nobody()])
    for one in known:
        found = check_tenants.look(one, reading.settings, installation.graph_of)
        yield f"Tenant {output.shown(one.tenant.name)}", found


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
