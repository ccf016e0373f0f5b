"""Whatever is written where a number should be: E.164 that libphonenumber finds valid, or a state; never an error."""

import re

import phonenumbers
from hypothesis import example, given
from hypothesis import strategies as st

from common.phones import PhoneState, read_phone, to_e164
from tests.support.fuzzing import fuzz
from tests.support.hostile import texts

E164 = re.compile(r"\+[1-9][0-9]{1,14}")

regions = st.one_of(
    st.none(),
    st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)),
    st.sampled_from(["", "pl", "ß", "001", "ZZ"]),
    texts,
)
ODD_LETTERS = "\uff0b\uff10\uff16\u0663\u0664\u06f5\u30fc\u2212\u3000\u200b\u00a0\u202a"
"""Signs and digits of other scripts, and spaces that nobody sees."""

SPELLINGS = "0123456789+-()./ x#*;,:=&~extEXTtelphone-context" + ODD_LETTERS
spelled = st.text(SPELLINGS, max_size=60)


@st.composite
def damaged_numbers(draw: st.DrawFn) -> str:
    """A number of some region as somebody wrote it, with letters put in, left out and exchanged."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    kind = draw(st.sampled_from([phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]))
    number = phonenumbers.example_number_for_type(region, kind) or phonenumbers.example_number("PL")
    assert number is not None
    text = phonenumbers.format_number(number, draw(st.sampled_from(range(4))))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.text(SPELLINGS, max_size=2)) + text[at + draw(st.integers(0, 2)) :]
    return text


written = st.one_of(damaged_numbers(), spelled, texts, st.text(max_size=300))


@fuzz()
@given(text=written, region=regions)
@example(text="+" * 300, region="PL")
@example(text="tel:+48;phone-context=" + ";phone-context=" * 50, region="PL")
@example(text="0" * 249, region="IT")
@example(text="\ud800+48601234567", region="\ud800")
def test_whatever_is_written_is_a_valid_number_or_none(text: str, region: str | None) -> None:
    number = to_e164(text, region)
    if number is not None:
        assert E164.fullmatch(number)
        assert phonenumbers.is_valid_number(phonenumbers.parse(number))
        assert to_e164(number, None) == number


@fuzz()
@given(mobile=st.none() | written, business=st.lists(written, max_size=4), region=regions)
def test_a_person_has_a_number_or_the_reason_why_not(
    mobile: str | None, business: list[str], region: str | None
) -> None:
    phone = read_phone(mobile, business, region=region)
    anything = any(text.strip() for text in [mobile or "", *business])
    assert (phone.number is not None) == (phone.source is not None) == (phone.state is PhoneState.OK)
    assert (phone.state is PhoneState.MISSING) <= (not anything)
    assert (phone.state is PhoneState.INVALID) <= anything


@fuzz(cost=10)
@given(piece=spelled.filter(bool), length=st.sampled_from([10_000, 300_000]), region=regions)
def test_a_text_without_end_is_refused_before_it_is_read(piece: str, length: int, region: str | None) -> None:
    """Read letter by letter, texts of this size would hold a worker for minutes: the time-out of tests would show."""
    text = (piece * length)[:length]
    assert read_phone(text, [text] * 20, region=region).state in (PhoneState.INVALID, PhoneState.MISSING)
