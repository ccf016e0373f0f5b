"""The first hour of somebody who runs this: a tenant from its first secret to its end, on a terminal.

docs/operations.md shows the same hour. What it shows is compared with what happened, but for times, spans and counts
that differ from run to run; `WRITE_FIRST_HOUR=1` writes it anew.
"""

from __future__ import annotations

import os
import re
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.system import System
from tests.support.console import EntraSms
from tests.support.eventually import eventually
from tests.support.whole_system import await_equality, await_subscriptions, rows

pytestmark = pytest.mark.system

DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"
HEADING = "## The first hour\n"
COLUMNS = 100
PERMISSIONS = ["User.Read.All", "Group.Read.All", "GroupMember.Read.All"]
INTRODUCTION = """\
What somebody sees who connects a directory for the first time, takes a wrong turn or two, and gives it up in the end.
A test types all of it, against the simulated Entra of [simulator.md](simulator.md), and compares what is printed with
this page.
"""
DIFFERS = (
    (r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?", "AT"),
    (r"https://(localhost|127\.0\.0\.1):\d+", "https://HOST"),
    (r"\d+(\.\d+)? (s|min|h|days)\b", "SPAN"),
    (r"[\d,]+ objects? on \d+ pages?", "COUNTS"),
    (r"\(\d[\d,]* entries read\)", "COUNTS"),
    (r"[\d,]+ (changes|rounds|results)", "COUNTS"),
    (r"waiting: .*", "WAITING"),
    (r"\s+", " "),
)


class Terminal(EntraSms):
    """The command as the people of `system` have it."""

    def __init__(self, system: System) -> None:
        super().__init__({})
        self._system = system

    @property
    def environment(self) -> dict[str, str]:
        return self._system.environment() | {"NO_COLOR": "1"}


@dataclass
class Hour:
    """Types commands, and remembers what was shown."""

    system: System
    folder: Path
    told: list[str] = field(default_factory=lambda: [HEADING, INTRODUCTION])

    def say(self, text: str) -> None:
        self.told.append(f"{textwrap.fill(text, 120)}\n")

    def file(self, name: str, content: str) -> None:
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text(content)

    def type(self, command: str, *, code: int = 0, shown: str = "") -> str:
        """Type a command; it must end with `code` and show `shown`."""
        arguments = [part.strip("'\"") for part in re.findall(r"'[^']*'|\"[^\"]*\"|\S+", command)]
        real = [str(self.folder / part) if (self.folder / part).is_file() else part for part in arguments]
        assert real.pop(0) == "entra-sms"
        terminal = Terminal(self.system)
        # What draws its progress on a terminal is read as a program reads it.
        ended = terminal.run(*real) if "--wait" in real else terminal.on_terminal(*real, columns=COLUMNS)
        printed = (ended.err + ended.out).replace("\r\n", "\n").strip("\n")
        printed = re.sub(r"\x1b\[[0-9;]*m", "", printed).replace(f"{self.folder}/", "")
        assert ended.code == code, printed
        assert shown in " ".join(printed.split()), printed
        body = "\n".join(line.rstrip() for line in [f"$ {command}", *_settled(printed)])
        self.told.append(f"```text\n{_wrapped(body)}\n```\n")
        return printed


def _settled(printed: str) -> list[str]:
    """The lines but for those of a progress, of which there are more or less; people before groups."""
    lines = [line for line in printed.splitlines() if not re.match(r"(users|groups): (?!complete)", line)]
    ended = sorted((line for line in lines if re.match(r"(users|groups): ", line)), reverse=True)
    return [ended.pop(0) if re.match(r"(users|groups): ", line) else line for line in lines]


def _wrapped(text: str) -> str:
    """Break lines that no terminal broke."""
    lines = []
    for line in text.splitlines():
        rest = line
        while len(rest) > COLUMNS:
            at = rest.rfind(" ", 0, COLUMNS) + 1 or COLUMNS
            lines.append(rest[:at].rstrip())
            rest = rest[at:]
        lines.append(rest)
    return "\n".join(lines)


def _same(text: str) -> str:
    for pattern, word in DIFFERS:
        text = re.sub(pattern, word, text)
    return text.strip()


def _section(document: str) -> tuple[int, int]:
    """Where the section stands in a document; behind everything if there is none yet."""
    if HEADING not in document:
        return len(document), len(document)
    begin = document.index(HEADING)
    following = document.find("\n## ", begin + 1)
    return begin, len(document) if following < 0 else following + 1


@pytest.fixture
def hour(system: System, tmp_path: Path) -> Hour:
    # Changes are to come by notifications, as they do where polls are minutes apart.
    system.settings = {**system.settings, "ENTRA_SMS_POLL_SECONDS": "120"}
    system.start_simulator(users=200, groups=20)
    system.start_webhook()
    system.start_worker()
    folder = tmp_path / "home"
    folder.mkdir()
    return Hour(system, folder)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


def test_the_first_hour_is_as_the_document_shows_it(hour: Hour) -> None:  # noqa: PLR0915 - one story, told in order
    system, control = hour.system, hour.system.simulated()
    add = (
        f"entra-sms tenants add --name Nordwind --domain {control.domain} --default-region PL "
        f"--tenant-id {control.tenant_id} --client-id {control.client_id} --client-secret-file secret.txt "
        "--agreement-reference DPA-2026-014 --agreement-date 2026-01-15"
    )

    hour.say("**A wrong secret.** First the Secret ID was copied instead of the Value, then the Value without its end:")
    hour.file("secret.txt", "8d3f0a52-9a4e-4a5b-8a53-0a2f3f0c6b11")
    hour.type(add, code=2, shown="it is the Secret ID")
    hour.file("secret.txt", control.client_secret[:-3])
    hour.type(add, code=3, shown="AADSTS7000215")
    assert rows(system, "SELECT tenant_id FROM tenants") == []

    hour.say("**A missing permission.** The Value is right now, but one permission was not consented to:")
    hour.file("secret.txt", control.client_secret)
    control.call("PUT", "permissions", {"roles": [PERMISSIONS[0], PERMISSIONS[2]]})
    hour.type(add, code=3, shown="lacks this permission: Group.Read.All")

    hour.say("**Connected.** After a click on *Grant admin consent*:")
    control.call("PUT", "permissions", {"roles": PERMISSIONS})
    hour.type(add, shown="Added Nordwind.")
    await_equality(system)
    hour.type("entra-sms sync --full --wait", shown="The address book of Nordwind is up to date")
    await_subscriptions(system)
    hour.type("entra-sms status", shown="All is well.")

    hour.say(
        "**Somebody changes the number** in the directory. Seconds later it is here; `explain` tells when and why, and "
        "`results` what came of the command that was given last:"
    )
    [person] = rows(system, "SELECT object_id, display_name FROM contacts ORDER BY display_name LIMIT 1")
    control.call("PATCH", f"users/{person['object_id']}", {"mobilePhone": "+48 601 234 567"})
    await_equality(system)
    hour.type(f'entra-sms explain "{person["display_name"]}" --limit 1', shown="+48601234567")
    hour.type("entra-sms results --limit 1", shown="full_resync of Nordwind was done")

    hour.say("**A pause**, while the customer cleans up. Nothing is read, and Graph sends nothing any more:")
    hour.type('entra-sms tenants pause Nordwind --reason "the customer cleans up"', shown="Paused Nordwind.")
    eventually(lambda: not control.call("GET", "subscriptions")["subscriptions"], what="no subscription")
    hour.type("entra-sms status", shown="paused")
    hour.type("entra-sms sync --full --wait", code=1, shown="is paused since")
    hour.type("entra-sms tenants resume Nordwind")
    await_subscriptions(system)
    await_equality(system)

    hour.say("**A new secret**, made in Entra beside the old one. The old one stays in use until the new one works:")
    control.call("PUT", "credentials", {"new_client_secret": "the-new~secret.of-Nordwind-2027"})
    hour.file("new.txt", "the-new~secret.of-Nordwind-2027")
    hour.type("entra-sms tenants credential Nordwind --client-secret-file new.txt --expires 2030-06-30")

    hour.say(
        "**The secret expires** one day, and nobody has seen the warnings. A worker notices when it signs in next, "
        "which `check_access` makes it do at once. From then on it asks now and then whether the access is back:"
    )
    control.call("PUT", "credentials", {"client_secret": "the-new~secret.of-Nordwind-2027", "expired": True})
    hour.type("entra-sms command check_access --tenant Nordwind --wait", code=1, shown="AADSTS7000222")
    hour.type("entra-sms status", code=1, shown="access failed")

    hour.say("**Recovered** by a third secret:")
    control.call("PUT", "credentials", {"client_secret": "the-third~secret.of-Nordwind-2027", "expired": False})
    hour.file("third.txt", "the-third~secret.of-Nordwind-2027")
    hour.type("entra-sms tenants credential Nordwind --client-secret-file third.txt --expires 2030-12-31")
    eventually(lambda: rows(system, "SELECT state FROM tenants")[0]["state"] == "active", what="an active tenant")
    await_equality(system)
    await_subscriptions(system)
    hour.type("entra-sms status", shown="All is well.")

    hour.say(
        "**The end** of the contract: everything that was read is erased, and Graph is told to forget the address:"
    )
    hour.type("entra-sms tenants remove Nordwind", code=2)
    hour.type("entra-sms tenants remove Nordwind --erase --yes", shown="Erased")
    assert control.call("GET", "subscriptions")["subscriptions"] == []
    for table in ("tenants", "contacts", "groups", "memberships", "changes", "rounds", "streams", "command_parts"):
        assert rows(system, f"SELECT * FROM {table}") == [], table  # noqa: S608 - names of our own

    told = "\n".join(hour.told)
    document = DOCUMENT.read_text()
    begin, end = _section(document)
    if os.environ.get("WRITE_FIRST_HOUR"):
        gap = "" if begin == 0 or document[:begin].endswith("\n\n") else "\n"
        DOCUMENT.write_text(document[:begin] + gap + told + ("\n" if end < len(document) else "") + document[end:])
    assert _same(DOCUMENT.read_text()[slice(*_section(DOCUMENT.read_text()))]) == _same(told)
