"""Why a person has this number or none, in words."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.phones import PhoneState, read_phone
from console.explained_number import NumberReason, number_of, reason_of
from console.reads.people import Person
from tests.support.fuzzing import fuzz
from tests.support.hostile import texts

ANNA = Person(
    object_id="3f0a0000-0000-4000-8000-000000000001",
    display_name="Anna",
    given_name=None,
    surname=None,
    mail=None,
    user_principal_name="anna@contoso.example",
    mobile_phone=None,
    business_phones=(),
    usage_location=None,
    account_enabled=True,
    user_type="Member",
    phone=None,
    phone_source=None,
    phone_state=PhoneState.MISSING,
)


def explained(
    mobile: str | None = None, *business: str, usage_location: str | None = None, default: str | None = "PL"
) -> NumberReason:
    """The reason for somebody whom the worker has read with this tenant's default region."""
    phone = read_phone(mobile, business, region=usage_location or default)
    person = replace(
        ANNA,
        mobile_phone=mobile,
        business_phones=business,
        usage_location=usage_location,
        phone=phone.number,
        phone_source=phone.source,
        phone_state=phone.state,
    )
    return reason_of(person, default)


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [
        (explained("+48 601 234 567", "22 123 45 67"), 'the mobile phone holds "+48 601 234 567", and it comes first'),
        (
            explained("601 234 567"),
            'the mobile phone holds "601 234 567", read as in PL, the tenant\'s default region, and it comes first',
        ),
        (
            explained("0171 1234567", usage_location="DE"),
            'the mobile phone holds "0171 1234567", read as in DE, the usage location, and it comes first',
        ),
        (
            explained("12", "22 123 45 67"),
            (
                'the mobile phone holds "12", which is no valid number in PL; so the first number in the business '
                'phones was taken: "22 123 45 67", read as in PL, the tenant\'s default region'
            ),
        ),
        (
            explained(None, "+48 22 123 45 67", "+48601234567"),
            'the mobile phone is empty; so the first number in the business phones was taken: "+48 22 123 45 67"',
        ),
        (
            explained(" ", "n/a", "+48221234567"),
            (
                'the mobile phone is empty, and the business phones hold "n/a", which is no valid number in PL; so the '
                'first number in the business phones was taken: "+48221234567"'
            ),
        ),
        (
            explained("12", "n/a", "+48221234567"),
            (
                'the mobile phone holds "12", and the business phones hold "n/a", none of which is a valid number in '
                'PL; so the first number in the business phones was taken: "+48221234567"'
            ),
        ),
        (explained(), "the directory holds none: the mobile phone and the business phones are empty"),
        (explained(" ", ""), "the directory holds none: the mobile phone and the business phones are empty"),
        (explained("12"), 'the mobile phone holds "12", which is no valid number in PL.'),
        (
            explained("12", "a", "b"),
            (
                'the mobile phone holds "12", and the business phones hold "a" and "b", none of which is a valid '
                "number in PL."
            ),
        ),
        (
            explained("601 234 567", default=None),
            (
                'the mobile phone holds "601 234 567", which is no valid number. Numbers without a prefix such as +48 '
                "cannot be read: the directory knows no usage location of the person, and the tenant has no default "
                "region"
            ),
        ),
        (explained("\x1b[31m12"), 'the mobile phone holds "\ufffd[31m12", which is no valid number in PL.'),
    ],
)
def test_the_sentence_names_what_stands_where_and_why_it_counts(reason: NumberReason, sentence: str) -> None:
    assert reason.sentence == sentence


def test_a_number_that_was_read_by_another_rule_is_said_to_be_outdated() -> None:
    person = replace(ANNA, mobile_phone="601 234 567", phone_state=PhoneState.INVALID)

    before, after = reason_of(person, None), reason_of(person, "PL")

    assert not before.is_outdated
    assert after.is_outdated
    assert after.sentence == (
        "the fields below would now be read as +48601234567; a full sync reads every number anew: entra-sms sync --full"
    )


@fuzz(cost=3)
@given(
    mobile=st.none() | texts | st.sampled_from(["601 234 567", "12", " "]),
    business=st.lists(texts | st.sampled_from(["+48221234567", "n/a", ""]), max_size=3),
    usage_location=st.sampled_from([None, "DE", "pl", "ZZ"]),
    default=st.sampled_from([None, "PL"]),
)
def test_whoever_was_read_by_the_rule_is_explained_by_it(
    mobile: str | None, business: list[str], usage_location: str | None, default: str | None
) -> None:
    reason = explained(mobile, *business, usage_location=usage_location, default=default)

    assert not reason.is_outdated
    assert reason.sentence.isprintable()
    if reason.kept.number is not None:
        taken = next(one for one in reason.readings if one.number is not None)
        assert (taken.number, taken.source) == (reason.kept.number, reason.kept.source)
    else:
        assert not any(one.number for one in reason.readings)
        assert bool(reason.readings) == (reason.kept.state is PhoneState.INVALID)


def test_a_number_without_a_source_is_read_as_it_stands() -> None:
    assert number_of(replace(ANNA, phone="+48601234567", phone_state=PhoneState.OK)).source is None
