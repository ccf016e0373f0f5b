"""Phone numbers: the mobile, else the first number met in the business phones, as E.164."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.phones import Phone, PhoneSource, PhoneState, is_region, read_phone, to_e164

MISSING, INVALID = Phone(PhoneState.MISSING), Phone(PhoneState.INVALID)


def ok(number: str, source: PhoneSource) -> Phone:
    return Phone(PhoneState.OK, number, source)


@pytest.mark.parametrize(
    ("mobile", "business", "expected"),
    [
        ("+48 601 234 567", ["+48 22 123 45 67"], ok("+48601234567", PhoneSource.MOBILE)),
        ("601 234 567", [], ok("+48601234567", PhoneSource.MOBILE)),
        (None, ["22 123 45 67", "+48601234567"], ok("+48221234567", PhoneSource.BUSINESS)),
        ("ask reception", ["", "ext. 12", "+48 601 234 567"], ok("+48601234567", PhoneSource.BUSINESS)),
        ("", [], MISSING),
        (None, ["", "  "], MISSING),
        ("ask reception", [], INVALID),
        (None, ["12"], INVALID),
        ("+48 601 234 567 ext. 5", [], ok("+48601234567", PhoneSource.MOBILE)),
        ("0048 601 234 567", [], ok("+48601234567", PhoneSource.MOBILE)),
        ("+49 (0)30 123456", [], ok("+4930123456", PhoneSource.MOBILE)),
        ("tel:+48601234567", [], ok("+48601234567", PhoneSource.MOBILE)),
    ],
)
def test_the_rule(mobile: str | None, business: list[str], expected: Phone) -> None:
    assert read_phone(mobile, business, region="PL") == expected


def test_a_national_number_needs_a_region_and_takes_the_given_one() -> None:
    assert to_e164("601 234 567", None) is None
    assert to_e164("030 123456", "de") == "+4930123456"
    assert to_e164("030 123456", "no-such-region") is None


@given(st.none() | st.text(max_size=300), st.lists(st.text(max_size=50), max_size=4), st.none() | st.text(max_size=4))
def test_whatever_the_directory_holds_it_is_read(mobile: str | None, business: list[str], region: str | None) -> None:
    phone = read_phone(mobile, business, region=region)
    assert (phone.number is not None) == (phone.source is not None) == (phone.state is PhoneState.OK)
    assert phone.number is None or (phone.number.startswith("+") and phone.number[1:].isdecimal())


def test_regions_are_known_in_capitals() -> None:
    assert is_region("PL")
    assert not is_region("pl")
    assert not is_region("XX")
