"""The screen of `entra-sms watch`: what was seen last, and how old that is."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from common.db.tenants import TenantState
from common.messages import Mode, Stream
from console import explained_changes, output, queue_words, status_table, times
from console.choice import NO_TENANT_YET
from console.condition import Condition
from console.lookout import Seen
from console.output import number, plural, shown
from console.queues import Broker
from console.reads.advance import Advance
from console.reads.recent import CHANGES, RecentRound, Tally
from console.troubles import Trouble, summed_up
from console.watch_picture import Picture
from console.watch_section import Section, stacked

OLD_SECONDS = 8.0
"""From then on it is said how old it is what is shown."""
BAR_LETTERS = 20
ROUND_HEADINGS = ("TIME", "TENANT", "STREAM", "ADDED", "CHANGED", "REMOVED", "TOOK", "WHY")
ROUND_NUMBERS = ("ADDED", "CHANGED", "REMOVED", "TOOK")


def screen(database: Seen[Picture], broker: Seen[Broker], *, width: int, height: int) -> Group:
    """Return what is shown on a terminal of so many letters and lines."""
    head = [Text.assemble(("entra-sms watch", "bold"), "  q ends it"), *_database(database), *_broker(broker)]
    for line in head:
        line.truncate(width, overflow="ellipsis")
    return Group(*head, *stacked(_sections(database, broker, width), height - len(head)))


def _database(seen: Seen[Picture]) -> list[Text]:
    name = ("Database", "bold")
    if seen.trouble is not None:
        return [Text.assemble(name, _age(seen), "  ", (shown(seen.trouble), "bold red"))]
    if seen.picture is None:
        return [Text.assemble(name, "  is looked for ...")]
    now, tally = times.moment(seen.picture.now), _in_words(seen.picture.tally)
    return [Text.assemble(name, _age(seen), f"  {now}"), Text.assemble(("Last minute", "bold"), f"  {tally}")]


def _broker(seen: Seen[Broker]) -> list[Text]:
    if seen.picture is None:
        return [Text.assemble(("RabbitMQ", "bold"), "  is looked for ...")]
    first, *more = queue_words.lines(seen.picture)
    return [Text.assemble(first, _age(seen)), *more]


def _age(seen: Seen[Picture] | Seen[Broker]) -> tuple[str, str]:
    is_old = seen.picture is not None and seen.age_seconds > OLD_SECONDS
    return (f"  what is shown is {times.span(seen.age_seconds)} old", "yellow") if is_old else ("", "")


def _in_words(tally: Tally) -> str:
    """Return e.g. ``3 contacts changed, 1 group added``."""
    parts = []
    for kind, count in sorted(tally.counts.items(), key=lambda item: -item[1]):
        noun, _, verb = shown(kind).partition(".")
        parts.append(f"{plural(count, noun)} {verb}")
    words = ", ".join(parts) or "no changes"
    return words if tally.is_all else f"{words}, of the latest {number(CHANGES)} changes"


def _sections(database: Seen[Picture], broker: Seen[Broker], width: int) -> list[Section]:
    picture = database.picture
    conditions = sorted(picture.conditions, key=_urgency) if picture is not None else []
    troubles = summed_up(
        [
            *(broker.picture.troubles if broker.picture is not None else ()),
            *(trouble for one in conditions for trouble in one.troubles),
        ]
    )
    wrong = Section("What is wrong", len(troubles), lambda rows: _troubles(troubles[:rows], width))
    if picture is None:
        return [wrong]
    if not conditions:
        return [wrong, Section("", 1, lambda _: Text(NO_TENANT_YET))]
    full = [(one, part) for one in conditions for part in _full_advances(one)]
    return [
        wrong,
        Section("", len(conditions), lambda rows: _tenants(conditions[:rows], width), has_headings=True),
        Section("Full syncs under way", len(full), lambda rows: _full_syncs(full[:rows])),
        Section(
            "Latest rounds",
            len(picture.rounds),
            lambda rows: _rounds(picture.rounds[:rows], width),
            has_headings=True,
            counts_rest=False,
        ),
    ]


def _urgency(one: Condition) -> tuple[bool, bool, bool, str]:
    """Return what orders tenants: those with troubles first, then those that are read in full."""
    troubles = one.troubles
    is_critical = any(trouble.is_critical for trouble in troubles)
    return (not is_critical, not troubles, not _full_advances(one), one.tenant.name)


def _full_advances(one: Condition) -> list[Advance]:
    """Return the streams that are being read in full; what a pause holds up is not under way."""
    is_paused = one.tenant.state is TenantState.PAUSED
    return [part for part in one.advances if part.full_began_at is not None and not is_paused]


def _troubles(troubles: Sequence[Trouble], width: int) -> RenderableType:
    lines = [Text.assemble(output.tick(works=False), f" {shown(trouble.sentence)}") for trouble in troubles]
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return Group(*lines)


def _tenants(conditions: Sequence[Condition], width: int) -> RenderableType:
    rows = [status_table.cells(one) for one in conditions]
    return output.grid_of(status_table.HEADINGS, rows, right=status_table.RIGHT, whole=status_table.WHOLE, width=width)


def _full_syncs(full: Sequence[tuple[Condition, Advance]]) -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    for _ in range(3):
        grid.add_column(no_wrap=True, overflow="ellipsis")
    for one, part in full:
        total = _total(one, part)
        bar = ProgressBar(total=total, completed=part.full_objects, width=BAR_LETTERS) if total else Text()
        grid.add_row(Text(f"{shown(one.tenant.name)} {part.stream}"), bar, Text(_progress(one, part, total)))
    return grid


def _total(one: Condition, part: Advance) -> int | None:
    """Return about how many there will be: as many as there are, if that was read in full before."""
    known = one.size.of(part.stream) if one.size is not None and part.last_full_at is not None else 0
    return known if known >= part.full_objects else None


def _progress(one: Condition, part: Advance, total: int | None) -> str:
    elapsed = (one.now - part.full_began_at).total_seconds() if part.full_began_at is not None else 0.0
    of = f" of about {number(total)}" if total else ""
    things = "people" if part.stream is Stream.USERS else "groups"
    rate = f", {number(round(part.full_objects / elapsed))}/s" if elapsed >= 1 else ""
    return f"{number(part.full_objects)}{of} {things}{rate}, for {times.span(elapsed)}"


def _rounds(rounds: Sequence[RecentRound], width: int) -> RenderableType:
    rows = [
        (
            times.moment(one.ended_at)[-8:],
            one.tenant_name,
            one.stream,
            number(one.added) if one.added else None,
            number(one.changed) if one.changed else None,
            number(one.removed) if one.removed else None,
            times.lag((one.ended_at - one.began_at).total_seconds()),
            _why(one),
        )
        for one in rounds
    ]
    return output.grid_of(ROUND_HEADINGS, rows, right=ROUND_NUMBERS, whole=("TIME", "STREAM"), width=width)


def _why(one: RecentRound) -> str:
    words = explained_changes.round_in_words(one.reason)
    kind = f"full sync: {words}" if one.mode is Mode.FULL and "full sync" not in words else words
    return kind if one.outcome == "ok" else f"failed; {kind}"
