"""A person as a vCard 4.0 (RFC 6350), as phones and address books read it. No library in wide use writes 4.0.

Groups are no CATEGORIES: people can be in hundreds of them, and an export of a group is that group's already.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from common.phones import PhoneSource

LARGEST_LINE_OCTETS = 75
"""Without the line break, as RFC 6350 (3.2) counts."""
REPLACED = "\N{REPLACEMENT CHARACTER}"
_TYPES = {PhoneSource.MOBILE: ";TYPE=cell", PhoneSource.BUSINESS: ";TYPE=work"}
_LINE_BREAK = re.compile("\r\n|[\r\n\v\f\x85\u2028\u2029]")
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x9f]")
_ESCAPED = str.maketrans({"\\": r"\\", ",": r"\,", ";": r"\;", "\n": r"\n"})


@dataclass(frozen=True)
class Card:
    """What a card says of a person; `phone` is E.164. Only the id has to be known."""

    object_id: str
    display_name: str | None = None
    given_name: str | None = None
    surname: str | None = None
    phone: str | None = None
    phone_source: str | None = None
    """Mobile or business; None: not told."""
    mail: str | None = None

    def __str__(self) -> str:
        """Return the card with its line breaks, CRLF, folded where lines are long."""
        return "".join(f"{folded(line)}\r\n" for line in self._lines())

    def _lines(self) -> list[str]:
        lines = ["BEGIN:VCARD", "VERSION:4.0", f"UID:urn:uuid:{self.object_id}", f"FN:{escaped(self._full_name)}"]
        if self.given_name or self.surname:
            lines.append(f"N:{escaped(self.surname or '')};{escaped(self.given_name or '')};;;")
        if self.phone:
            lines.append(f"TEL;VALUE=uri{self._type}:tel:{self.phone}")
        if self.mail:
            lines.append(f"EMAIL:{escaped(self.mail)}")
        return [*lines, "END:VCARD"]

    @property
    def _full_name(self) -> str:
        """A card has to have one, so somebody without gets the next best."""
        names = " ".join(name for name in (self.given_name, self.surname) if name)
        return self.display_name or names or self.mail or self.phone or self.object_id

    @property
    def _type(self) -> str:
        return _TYPES[PhoneSource(self.phone_source)] if self.phone_source else ""


def cleaned(text: str) -> str:
    """Return `text` with what a card may hold: every line break is LF, and other control characters are replaced."""
    return _CONTROL.sub(REPLACED, _LINE_BREAK.sub("\n", text))


def escaped(text: str) -> str:
    """Return `text` as the value of a property, or as a part of one."""
    return cleaned(text).translate(_ESCAPED)


def folded(line: str) -> str:
    """Return `line` in pieces of 75 octets at most, each after the first behind a line break and a space.

    No letter is torn: a reader that decodes each piece by itself reads it all the same.
    """
    if len(line.encode()) <= LARGEST_LINE_OCTETS:
        return line
    pieces, octets = [""], 0
    for letter in line:
        size = len(letter.encode())
        if octets + size > LARGEST_LINE_OCTETS:
            pieces.append(" ")
            octets = 1
        pieces[-1] += letter
        octets += size
    return "\r\n".join(pieces)
