"""Reports as tables, in words for whoever mends the numbers in the directory."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from rich.text import Text

from common.phones import NumberKind
from console import output
from console.listing import say_that_there_is_more
from console.person_card import note_of
from console.reads.reports import InvalidNumber, NotMobile, Report, Reported, SharedNumber

WHAT = {
    Report.MISSING: "no number in the directory",
    Report.INVALID: "what stands in the directory is no valid number",
    Report.SHARED: "the same number as somebody else",
    Report.NOT_MOBILE: "a number that is no mobile one: SMS may not arrive",
}
"""What is wrong with the number of everybody in a report, in a few words."""

ADVICE = {
    Report.MISSING: "In the directory, the mobile phone and the business phones are empty. Fill in one of them.",
    Report.INVALID: "Write the number with its country, as in +48 601 234 567, or mend the person's usage location.",
    Report.SHARED: "A message to a group goes to each number once. If a number is of one person only, mend the others.",
    Report.NOT_MOBILE: "Fill in the mobile phone in the directory: it comes before the business phones.",
}
NOBODY = {
    Report.MISSING: "Nobody: everybody has something written where the number should be.",
    Report.INVALID: "Nobody: whatever stands where a number should be is a valid one.",
    Report.SHARED: "Nobody has the same number as somebody else.",
    Report.NOT_MOBILE: "Nobody: every number is a mobile one.",
}
KINDS = {
    NumberKind.LANDLINE: "landline",
    NumberKind.VOIP: "internet telephone",
    NumberKind.TOLL_FREE: "toll-free number",
    NumberKind.PREMIUM_RATE: "premium-rate number",
    NumberKind.OTHER: "special number",
}


def show(report: Report, shown: Sequence[Reported], total: int) -> None:
    """Print the first of `total` people of a report, and what to do about them."""
    if not shown:
        output.note(NOBODY[report])
        return
    headings, cells = _columns(report, shown)
    rows = [
        (*own, one.mail or one.user_principal_name, note_of(is_guest=one.guest, enabled=one.enabled))
        for own, one in zip(cells, shown, strict=True)
    ]
    output.table((*headings, "MAIL", "NOTE"), rows, right=("PEOPLE",), whole=("NUMBER",))
    say_that_there_is_more(len(shown), total, "people", f"entra-sms reports {report} --format csv")
    output.note(f"{output.plural(total, 'person', 'people')}: {WHAT[report]}. {ADVICE[report]}")


def _columns(report: Report, shown: Sequence[Reported]) -> tuple[tuple[str, ...], list[tuple[object, ...]]]:
    """Return the headings of a report's own columns, and the cells below them."""
    match report:
        case Report.MISSING:
            return ("NAME",), [(one.display_name,) for one in shown]
        case Report.INVALID:
            return ("NAME", "WRITTEN", "READ IN"), [
                (one.display_name, _written(one), one.region or "no country")
                for one in shown
                if isinstance(one, InvalidNumber)
            ]
        case Report.SHARED:
            return ("NUMBER", "PEOPLE", "NAME"), _shared([one for one in shown if isinstance(one, SharedNumber)])
        case Report.NOT_MOBILE:
            return ("NAME", "NUMBER", "KIND"), [
                (one.display_name, one.phone, KINDS[one.kind]) for one in shown if isinstance(one, NotMobile)
            ]


def _shared(shown: Sequence[SharedNumber]) -> list[tuple[object, ...]]:
    """A number stands beside the first who has it."""
    first = [True, *(one.phone != other.phone for one, other in pairwise(shown))]
    return [
        (one.phone, output.number(one.people), one.display_name) if is_first else (Text(), Text(), one.display_name)
        for one, is_first in zip(shown, first, strict=True)
    ]


def _written(one: InvalidNumber) -> str:
    """Return e.g. ``12 (mobile); reception (business)``."""
    texts = [(one.mobile_phone or "", "mobile"), *((text, "business") for text in one.business_phones)]
    return "; ".join(f"{output.shown(text.strip())} ({field})" for text, field in texts if text.strip())
