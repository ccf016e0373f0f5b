"""A person as explained on the terminal: a fact a line, then what changed, then what Graph says now."""

from __future__ import annotations

from rich.text import Text

from common.phones import PhoneState
from console import explained_changes, output, times
from console.explained import Explained
from console.explained_fields import FIELDS, in_words
from console.explained_live import NOT_ASKED, Comparison, Live
from console.explained_number import NumberReason, quoted
from console.explained_presence import State
from console.output import shown
from console.person_card import region_of
from console.reads.group_paths import GroupPath
from console.reads.people import Person

BESIDE = " > "
NO_NUMBER = {PhoneState.MISSING: "none", PhoneState.INVALID: "none that is valid"}
SHOWN_WITH_NUMBER = ("phone_source", "phone_state")
"""Where the number comes from is said with the number."""

Fact = tuple[str, str | Text]


def show(explained: Explained) -> None:
    """Print what the book knows."""
    output.facts([*_identity(explained), *_number(explained), *_groups(explained), *_reservations(explained)])
    output.say()
    if explained.events:
        output.say(Text("What changed, latest first", "bold"))
        output.facts([(times.moment(event.at), explained_changes.in_words(event)) for event in explained.events])
        if explained.has_earlier_events:
            output.note("There is more before that: --limit")
    else:
        output.say("No change is on record.")


def show_live(explained: Explained, live: Live) -> None:
    """Print what Graph says, beside what the book has."""
    output.say()
    output.say(Text("What Graph says now", "bold"))
    is_in_book = explained.person is not None
    facts: list[Fact] = [("Person", _known(live, is_in_book=is_in_book))]
    facts += [_compared(one, is_in_book=is_in_book) for one in live.comparisons if one.column not in SHOWN_WITH_NUMBER]
    output.facts([*facts, ("Next", live.what_next), *([("Groups", NOT_ASKED)] if live.comparisons else [])])


def _known(live: Live, *, is_in_book: bool) -> Text:
    if live.malformed:
        return Text.assemble((f"there, but {live.malformed} is of an unknown shape", "yellow"))
    if live.is_known:
        return Text.assemble("there" if is_in_book else ("there, but not in the book", "yellow"))
    gone = "not there: no person has this id (the recycle bin of the directory is not looked at)"
    return Text.assemble((f"{gone}, but the book has one", "yellow") if is_in_book else gone)


def _identity(explained: Explained) -> list[Fact]:
    person = explained.person
    colour = {State.IN_BOOK: "bold green", State.HELD: "bold yellow"}.get(explained.presence.state, "bold red")
    word, _, rest = explained.presence.reason.partition(" ")
    facts: list[Fact] = [("Person", shown(person.display_name))] if person is not None else []
    return [
        *facts,
        ("Object id", explained.object_id),
        ("Tenant", shown(explained.tenant.name)),
        ("In the book", Text.assemble((word, colour), f" {rest}" if rest else "")),
        *([("Will be read", _read_again(explained))] if _waits_to_be_read(explained) else []),
        *(_fields(person) if person is not None else []),
    ]


def _waits_to_be_read(explained: Explained) -> bool:
    return explained.person is not None and explained.traces.read_again_at is not None


def _read_again(explained: Explained) -> str:
    at = explained.traces.read_again_at
    when = "now" if at is None or at <= explained.now else times.until(at, explained.now)
    return f"{when}, by itself, because Graph told only a part of a change; until then the book keeps what it had"


def _fields(person: Person) -> list[Fact]:
    is_guest = ", guest" if person.is_guest else ""
    return [
        ("Mail", shown(person.mail)),
        ("Sign-in name", shown(person.user_principal_name)),
        ("Account", f"{in_words('account_enabled', person.account_enabled)}{is_guest}"),
    ]


def _number(explained: Explained) -> list[Fact]:
    person, reason = explained.person, explained.number
    if person is None or reason is None:
        return []
    return [
        ("Number", _kept_number(reason)),
        ("Why", reason.sentence),
        ("Mobile phone", in_words("mobile_phone", person.mobile_phone)),
        ("Business phones", in_words("business_phones", person.business_phones)),
        ("Usage location", region_of(explained.tenant, person)),
    ]


def _kept_number(reason: NumberReason) -> Text:
    if reason.kept.number is None:
        return Text.assemble((NO_NUMBER.get(reason.kept.state, "none"), "bold yellow"))
    return Text.assemble((shown(reason.kept.number), "bold green"))


def _groups(explained: Explained) -> list[Fact]:
    if explained.person is None:
        return []
    direct = [_path(path) for path in explained.paths if path.is_direct]
    through = [_path(path) for path in explained.paths if not path.is_direct]
    return [("In groups", "\n".join(direct) or "-"), ("Through groups", "\n".join(through) or "-")]


def _path(path: GroupPath) -> str:
    return BESIDE.join(shown(team.display_name or team.object_id) for team in path.teams)


def _reservations(explained: Explained) -> list[Fact]:
    caveats = [("But" if at == 0 else "", Text.assemble((text, "yellow"))) for at, text in enumerate(explained.caveats)]
    return [("Last read", explained.freshness), *caveats]


def _compared(one: Comparison, *, is_in_book: bool) -> Fact:
    name, said = FIELDS[one.column].capitalize(), in_words(one.column, one.graph)
    if one.is_same or not is_in_book:
        return name, said
    kept = quoted(in_words(one.column, one.book)) if one.book not in (None, ()) else "nothing"
    return name, Text.assemble(f"{said}  ", (f"differs: the book has {kept}", "yellow"))
