"""Why a person has this number, or none: what stands in which field, and what it is read as.

The rule is `common.phones`: the mobile phone if it holds a number, else the first number met in the business phones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from common.phones import Phone, PhoneSource, PhoneState, read_phone, to_e164
from console.output import shown
from console.reads.people import Person

FIELD = {PhoneSource.MOBILE: "the mobile phone", PhoneSource.BUSINESS: "the business phones"}
HEAL = "a full sync reads every number anew: entra-sms sync --full"


@dataclass(frozen=True)
class Reading:
    """A text where a number may stand, and the number that it is (E.164), if it is one."""

    source: PhoneSource
    written: str
    number: str | None


@dataclass(frozen=True)
class NumberReason:
    """The number of a person as the book has it, and why. `read_now` is what the rule makes of the fields today."""

    kept: Phone
    read_now: Phone
    readings: Sequence[Reading]
    region: str | None
    """In which numbers without a prefix are read, ISO 3166-1 alpha-2."""
    is_tenants_region: bool
    """Whether it is the tenant's default, because the directory knows none of the person."""

    @property
    def is_outdated(self) -> bool:
        return self.kept != self.read_now

    @property
    def sentence(self) -> str:
        """Why the book has this number or none, for people who have never heard of the rule."""
        if self.is_outdated:
            now = self.read_now.number or "no number"
            return f"the fields below would now be read as {now}; {HEAL}"
        if self.kept.state is PhoneState.MISSING:
            return "the directory holds none: the mobile phone and the business phones are empty"
        if self.kept.state is PhoneState.INVALID:
            return f"{self._passed_over(self.readings)}. {self._region_advice()}".rstrip()
        taken = next(at for at, one in enumerate(self.readings) if one.number is not None)
        passed, one = self.readings[:taken], self.readings[taken]
        here = f"{quoted(one.written)}{self._read_as(one)}"
        if one.source is PhoneSource.MOBILE:
            return f"the mobile phone holds {here}, and it comes first"
        is_mobile_empty = not any(other.source is PhoneSource.MOBILE for other in passed)
        before = ["the mobile phone is empty"] if is_mobile_empty else []
        before += [self._passed_over(passed)] if passed else []
        return f"{', and '.join(before)}; so the first number in the business phones was taken: {here}"

    def _passed_over(self, readings: Sequence[Reading]) -> str:
        """Return e.g. ``the mobile phone holds "12", which is no valid number in PL``."""
        parts = []
        for source in PhoneSource:
            texts = [quoted(one.written) for one in readings if one.source is source]
            if texts:
                hold = "hold" if source is PhoneSource.BUSINESS else "holds"
                parts.append(f"{FIELD[source]} {hold} {' and '.join(texts)}")
        none = "which is no valid number" if len(readings) == 1 else "none of which is a valid number"
        return f"{', and '.join(parts)}, {none}{f' in {self.region}' if self.region else ''}"

    def _read_as(self, one: Reading) -> str:
        if to_e164(one.written, None) == one.number:
            return ""
        whose = "the tenant's default region" if self.is_tenants_region else "the usage location"
        return f", read as in {self.region}, {whose}"

    def _region_advice(self) -> str:
        if self.region is not None:
            return ""
        return (
            "Numbers without a prefix such as +48 cannot be read: the directory knows no usage location of the person, "
            "and the tenant has no default region"
        )


def reason_of(person: Person, default_region: str | None) -> NumberReason:
    """Return why `person` has the number that the book shows, or none."""
    region = person.usage_location or default_region
    written = [(PhoneSource.MOBILE, person.mobile_phone or "")]
    written += [(PhoneSource.BUSINESS, text) for text in person.business_phones]
    return NumberReason(
        kept=number_of(person),
        read_now=read_phone(person.mobile_phone, person.business_phones, region=region),
        readings=[Reading(source, text, to_e164(text, region)) for source, text in written if text.strip()],
        region=region,
        is_tenants_region=not person.usage_location,
    )


def number_of(person: Person) -> Phone:
    source = PhoneSource(person.phone_source) if person.phone_source else None
    return Phone(person.phone_state, person.phone, source)


def quoted(text: str) -> str:
    return f'"{shown(text)}"'
