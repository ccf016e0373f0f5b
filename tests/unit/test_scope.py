"""The conditions of scopes: what they mean, what is unknown of them, and what is said when one cannot be read."""

from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.scope import FLAGS, LONGEST_CONDITION, PROPERTIES, Scope, ScopeError, read_condition

ANNA = {"department": "Sales", "country": "PL", "companyName": None, "userType": "Member", "accountEnabled": True}
VALUES: dict[str, list[Any]] = {name: ["Sales", "PL", "", None] for name in PROPERTIES} | {
    name: [True, False, None] for name in FLAGS
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('department = "Sales"', True),
        ("DEPARTMENT = 'sales'", True),
        ('department != "Sales"', False),
        ('companyName != "Contoso"', True),
        ('country in ("DE", "pl")', True),
        ('country not in ("DE", "PL")', False),
        ("companyName is empty", True),
        ("companyName = ''", True),
        ("department is not empty", True),
        ("accountEnabled = TRUE", True),
        ("accountEnabled = false", False),
        ('not department = "Sales"', False),
        ('department = "x" and country = "y" or accountEnabled = true', True),
        ('department = "x" and (country = "y" or accountEnabled = true)', False),
        ('not department = "x" and country = "PL"', True),
        ('not (department = "x" or country = "PL")', False),
    ],
)
def test_a_condition_means_what_it_says(text: str, expected: bool) -> None:
    assert read_condition(text).holds(ANNA) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("departement = 'Sales'", "There is no attribute departement. Did you mean department?"),
        ("department = true", "department is a text: put what it is compared with in quotes"),
        ("accountEnabled = 'true'", "accountEnabled is true or false"),
        ("department = Sales", "from its character 14 on:\n  department = Sales\n               ^\nExpected"),
        ("department = 'Sales' and", "from its character 25 on:"),
        ("", "from its character 1 on:"),
        ("department = 'Sales", "from its character 14 on:"),
        ("department is 'Sales'", "from its character 15 on:"),
        (f"department = '{'x' * LONGEST_CONDITION}'", f"at most {LONGEST_CONDITION} characters"),
    ],
)
def test_what_cannot_be_read_is_shown_where_it_is(text: str, expected: str) -> None:
    with pytest.raises(ScopeError) as raised:
        read_condition(text)
    assert expected in str(raised.value)


def test_a_scope_needs_a_group_that_reaches_and_the_condition() -> None:
    scope = Scope(("group",), read_condition('department = "Sales"'))

    assert scope.admits({}, is_reached=False) is False
    assert scope.admits({}, is_reached=True) is None
    assert scope.admits(ANNA, is_reached=True) is True
    assert scope.admits({"department": None}, is_reached=True) is False
    assert scope.properties == ("department",)
    assert Scope().admits({}, is_reached=False) is True


def _comparisons() -> st.SearchStrategy[str]:
    texts = st.sampled_from([name for name in PROPERTIES if name not in FLAGS])
    values = st.sampled_from(['"Sales"', "'PL'", '""'])
    return st.one_of(
        st.builds("{} = {}".format, texts, values),
        st.builds("{} != {}".format, texts, values),
        st.builds("{} in ({}, {})".format, texts, values, values),
        st.builds("{} not in ({}, {})".format, texts, values, values),
        st.builds("{} is empty".format, st.sampled_from(PROPERTIES)),
        st.builds("{} is not empty".format, st.sampled_from(PROPERTIES)),
        st.builds("{} = {}".format, st.sampled_from(FLAGS), st.sampled_from(["true", "false"])),
    )


CONDITIONS = st.recursive(
    _comparisons(),
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
    ),
    max_leaves=6,
)
PEOPLE = st.fixed_dictionaries({name: st.sampled_from(values) for name, values in VALUES.items()})


@given(CONDITIONS, PEOPLE)
def test_a_condition_that_is_written_out_is_read_as_the_same(text: str, person: dict[str, Any]) -> None:
    condition = read_condition(text)
    again = read_condition(str(condition))

    assert str(again) == str(condition)
    assert again.holds(person) is condition.holds(person)
    assert condition.holds(person) is not None


@given(CONDITIONS, PEOPLE, st.sets(st.sampled_from(PROPERTIES), max_size=2))
def test_what_a_part_decides_the_whole_decides_the_same(text: str, person: dict[str, Any], unknown: set[str]) -> None:
    condition = read_condition(text)
    verdict = condition.holds({name: value for name, value in person.items() if name not in unknown})

    whole = product(*(VALUES[name] for name in unknown))
    verdicts = {condition.holds(person | dict(zip(unknown, values, strict=True))) for values in whole}
    if verdict is not None:
        assert verdicts == {verdict}
