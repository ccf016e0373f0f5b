"""Which number a person is reached at, and why not.

The rule: the mobile phone if it holds a number, else the first number met in the business phones. Numbers are read
with libphonenumber, in the person's region (`usageLocation`), else the tenant's; the result is E.164.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import phonenumbers


class PhoneState(StrEnum):
    """Whether the person can be reached: a number, nothing written down, or nothing that is a number."""

    OK = "ok"
    MISSING = "missing"
    INVALID = "invalid"


class PhoneSource(StrEnum):
    """The directory's field that the number came from."""

    MOBILE = "mobile"
    BUSINESS = "business"


class NumberKind(StrEnum):
    """What a number is for, as far as its digits tell."""

    MOBILE = "mobile"
    LANDLINE = "landline"
    VOIP = "voip"
    TOLL_FREE = "toll_free"
    PREMIUM_RATE = "premium_rate"
    OTHER = "other"


_TYPES = phonenumbers.PhoneNumberType
_KINDS = {
    _TYPES.MOBILE: NumberKind.MOBILE,
    _TYPES.FIXED_LINE_OR_MOBILE: NumberKind.MOBILE,
    _TYPES.FIXED_LINE: NumberKind.LANDLINE,
    _TYPES.VOIP: NumberKind.VOIP,
    _TYPES.TOLL_FREE: NumberKind.TOLL_FREE,
    _TYPES.PREMIUM_RATE: NumberKind.PREMIUM_RATE,
}


@dataclass(frozen=True)
class Phone:
    """The outcome of reading a person's numbers; `number` (E.164) and `source` are set only when it is ok."""

    state: PhoneState
    number: str | None = None
    source: PhoneSource | None = None


def read_phone(mobile: str | None, business: Sequence[str], *, region: str | None) -> Phone:
    """Apply the rule to what the directory holds; `region` is ISO 3166-1 alpha-2. Never raises."""
    candidates = [(PhoneSource.MOBILE, mobile or "")] + [(PhoneSource.BUSINESS, text) for text in business]
    for source, text in candidates:
        number = to_e164(text, region)
        if number is not None:
            return Phone(PhoneState.OK, number, source)
    written = any(text.strip() for _, text in candidates)
    return Phone(PhoneState.INVALID if written else PhoneState.MISSING)


def to_e164(text: str, region: str | None) -> str | None:
    """Return `text` as E.164 (an extension is dropped), or None when it is not a valid number in `region`."""
    try:
        number = phonenumbers.parse(text, region.upper() if region else None)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def kind_of(number: str) -> NumberKind:
    """Return of what kind a valid number (E.164) is; one that may be a landline or a mobile one is a mobile one."""
    return _KINDS.get(phonenumbers.number_type(phonenumbers.parse(number)), NumberKind.OTHER)


def is_region(text: str) -> bool:
    """Tell whether `text` is a region that libphonenumber knows, e.g. ``PL``."""
    return text in phonenumbers.SUPPORTED_REGIONS
