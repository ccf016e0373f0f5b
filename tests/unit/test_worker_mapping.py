"""What a delta page says: typed items in the order of the last word; what is malformed is only said to be there."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.errors import BadPageError
from tests.support.book import guid
from worker.mapping import GROUP_COLUMNS, KIND_PROPERTIES, USER_COLUMNS, USER_TEXTS, Item, groups_of, users_of

ANNA, BERT, STAFF = guid("anna"), guid("bert"), guid("staff")
REMOVED = {"@removed": {"reason": "changed"}}
Mapping = Callable[[list[dict[str, Any]]], list[Item]]


def person(object_id: str = ANNA, **properties: Any) -> dict[str, Any]:
    return {"id": object_id, "userPrincipalName": "anna@contoso.example", **properties}


def member(object_id: str, kind: Any = "#microsoft.graph.user", **more: Any) -> dict[str, Any]:
    return {"@odata.type": kind, "id": object_id, **more}


def group(*members: Any, object_id: str = STAFF, **properties: Any) -> dict[str, Any]:
    return {"id": object_id, "displayName": "Staff", "members@delta": list(members), **properties}


# Any JSON

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
NAMES = [
    "id",
    "@removed",
    "@odata.type",
    "members@delta",
    "businessPhones",
    "accountEnabled",
    *USER_TEXTS,
    *KIND_PROPERTIES,
]
ENTRIES = st.dictionaries(st.sampled_from(NAMES), JSON | st.just(ANNA) | st.just([{"id": BERT}]), max_size=8)


@settings(max_examples=150, deadline=None)
@given(st.lists(ENTRIES, max_size=4))
def test_whatever_an_entry_holds_it_is_understood_or_refused(entries: list[dict[str, Any]]) -> None:
    with suppress(BadPageError):
        for item in users_of(entries):
            assert set(item.values) <= set(USER_COLUMNS)
    with suppress(BadPageError):
        for item in groups_of(entries):
            assert set(item.values) <= set(GROUP_COLUMNS)


@pytest.mark.parametrize("mapping", [users_of, groups_of])
@pytest.mark.parametrize("value", [None, 5, "", "me", [], {}, "7f105c7d-2dc5-4530-97cd"])
def test_an_entry_without_an_id_makes_the_page_bad(mapping: Mapping, value: Any) -> None:
    with pytest.raises(BadPageError):
        mapping([person(), {"id": value, "displayName": "Somebody"}])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("displayName", 5),
        ("mail", ["a"]),
        ("surname", {}),
        ("mobilePhone", "0" * 5000),
        ("accountEnabled", "yes"),
        ("businessPhones", "+48 601"),
        ("businessPhones", {"0": "+48"}),
        ("businessPhones", [None]),
        ("businessPhones", [5]),
        ("businessPhones", ["0" * 5000]),
    ],
)
def test_a_person_with_a_property_of_an_unknown_shape_says_nothing_but_that_he_is_there(name: str, value: Any) -> None:
    good = person(BERT, surname="Nowak")
    items = users_of([person(**{"givenName": "Anna", name: value}), good])
    assert items == [Item(ANNA, malformed=name), *users_of([good])]


def test_what_is_malformed_is_not_mended_by_what_else_the_page_says_of_it() -> None:
    bad = person(surname=5)
    assert users_of([person(surname="Nowak"), bad]) == users_of([bad, person()]) == [Item(ANNA, malformed="surname")]


def test_what_is_malformed_and_then_removed_is_removed() -> None:
    [item] = users_of([person(surname=5), {"id": ANNA, **REMOVED}])
    assert (item.removed, item.malformed) == (True, None)


def test_what_is_removed_and_then_malformed_is_there() -> None:
    [item] = users_of([{"id": ANNA, **REMOVED}, person(surname=5)])
    assert (item.removed, item.returned, item.malformed) == (False, False, "surname")


def test_members_that_are_null_say_nothing() -> None:
    (staff,) = groups_of([{"id": STAFF, "displayName": "Staff", "members@delta": None}])
    assert (staff.values["display_name"], staff.edges) == ("Staff", {})


@pytest.mark.parametrize("value", [{}, "text", ["text"], [None], [{"@odata.type": "#microsoft.graph.user"}]])
def test_a_group_with_members_of_an_unknown_shape_says_nothing_but_that_it_is_there(value: Any) -> None:
    [staff] = groups_of([{"id": STAFF, "displayName": "Staff", "members@delta": value}, group(member(ANNA))])
    assert staff == Item(STAFF, malformed=staff.malformed)
    assert str(staff.malformed).startswith("members")


# Values


def test_every_mentioned_property_lands_in_its_column() -> None:
    texts = {name: f"the {name}" for name in USER_TEXTS}
    [item] = users_of([person(**texts, businessPhones=["+48 22", "+48 23"], accountEnabled=False)])
    assert item.values == {
        **{column: f"the {name}" for name, column in USER_TEXTS.items()},
        "business_phones": ["+48 22", "+48 23"],
        "account_enabled": False,
    }


def test_what_is_not_mentioned_is_not_among_the_values() -> None:
    [item] = users_of([person()])
    assert item.values == {"user_principal_name": "anna@contoso.example"}


@pytest.mark.parametrize("value", [None, "", "\x00"])
def test_an_emptied_property_is_said_to_be_empty(value: Any) -> None:
    [item] = users_of([person(mail=value, businessPhones=None)])
    assert (item.values["mail"], item.values["business_phones"]) == (None, [])


def test_characters_that_no_database_keeps_are_left_out() -> None:
    [item] = users_of([person(surname="Ko\x00walska", businessPhones=["+48\x00 22"])])
    assert (item.values["surname"], item.values["business_phones"]) == ("Kowalska", ["+48 22"])
    [group_item] = groups_of([group(member(ANNA, "#microsoft.graph.us\x00er"))])
    assert group_item.edges[ANNA].member_type == "user"


def test_ids_are_in_lower_case_whatever_graph_writes() -> None:
    [item] = groups_of([group(member(ANNA.upper()), object_id=STAFF.upper())])
    assert item.object_id == STAFF
    assert list(item.edges) == [ANNA]


def test_unknown_properties_are_ignored() -> None:
    [item] = users_of([person(favouriteColour="red", **{"manager@delta": [{"id": BERT}]})])
    assert item.values == {"user_principal_name": "anna@contoso.example"}


def test_an_entry_without_what_every_user_has_is_a_part() -> None:
    assert [item.whole for item in users_of([person(), {"id": BERT, "mail": "b@contoso.example"}])] == [True, False]
    assert [item.whole for item in groups_of([group(), {"id": BERT, "mail": "b@contoso.example"}])] == [True, False]


@pytest.mark.parametrize(
    ("types", "mail", "security", "kind"),
    [
        (["Unified"], True, False, "microsoft365"),
        (["DynamicMembership", "Unified"], True, True, "microsoft365"),
        ([], False, True, "security"),
        ([], True, True, "mail_security"),
        ([], True, False, "distribution"),
        (["DynamicMembership"], False, True, "security"),
    ],
)
def test_the_kind_of_a_group_follows_from_its_three_properties(
    types: list[str], mail: bool, security: bool, kind: str
) -> None:
    [item] = groups_of([group(groupTypes=types, mailEnabled=mail, securityEnabled=security)])
    assert item.values["kind"] == kind


def test_a_kind_of_which_nothing_is_said_is_not_made_up() -> None:
    [item] = groups_of([group()])
    assert "kind" not in item.values


# Removals


@pytest.mark.parametrize(
    "mark", [{"reason": "changed"}, {"reason": "deleted"}, {"reason": "new"}, {}, "deleted", False]
)
def test_any_mark_of_removal_is_a_removal(mark: Any) -> None:
    [item] = users_of([{"id": ANNA, "@removed": mark, "displayName": 5}])
    assert item.removed
    assert item.values == {}


def test_a_removal_that_is_null_is_none() -> None:
    [item] = users_of([person(**{"@removed": None})])
    assert not item.removed


# Several entries of one object


def test_the_last_word_wins_and_earlier_ones_fill_in() -> None:
    [item] = users_of([person(mail="old@x.example", surname="Nowak"), person(mail="new@x.example")])
    assert (item.values["mail"], item.values["surname"]) == ("new@x.example", "Nowak")


def test_items_come_in_the_order_of_their_last_words() -> None:
    items = users_of([person(ANNA), person(BERT), person(ANNA)])
    assert [item.object_id for item in items] == [BERT, ANNA]


def test_slices_of_the_members_are_put_together() -> None:
    [item] = groups_of([group(member(ANNA)), group(member(BERT))])
    assert set(item.edges) == {ANNA, BERT}


@pytest.mark.parametrize(("first", "second", "gone"), [({}, REMOVED, True), (REMOVED, {}, False)])
def test_of_two_words_about_a_member_the_later_counts(
    first: dict[str, Any], second: dict[str, Any], gone: bool
) -> None:
    within_one_entry = groups_of([group(member(ANNA, **first), member(ANNA, **second))])
    over_two_entries = groups_of([group(member(ANNA, **first)), group(member(ANNA, **second))])
    assert within_one_entry == over_two_entries
    assert within_one_entry[0].edges[ANNA].removed is gone


def test_removed_after_all_forgets_what_was_said_before() -> None:
    [item] = groups_of([group(member(ANNA)), {"id": STAFF, **REMOVED}])
    assert (item.removed, item.values, item.edges) == (True, {}, {})


def test_there_again_after_a_removal_is_told_apart() -> None:
    [item] = groups_of([group(member(ANNA)), {"id": STAFF, **REMOVED}, group(member(BERT))])
    assert (item.removed, item.returned) == (False, True)
    assert list(item.edges) == [BERT]


def test_a_part_completes_a_whole_entry() -> None:
    [item] = users_of([person(), {"id": ANNA, "mail": "a@x.example"}])
    assert item.whole


# Members


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("#microsoft.graph.user", "user"),
        ("#Microsoft.Graph.User", "user"),
        ("#microsoft.graph.servicePrincipal", "servicePrincipal"),
        ("microsoft.graph.group", "group"),
        ("#microsoft.graph.somethingNew", "somethingNew"),
        (None, "unknown"),
        ("", "unknown"),
        ("#", "unknown"),
        (5, "unknown"),
        ("x" * 500, "x" * 64),
    ],
)
def test_members_of_every_type_are_kept(kind: Any, name: str) -> None:
    [item] = groups_of([group(member(ANNA, kind))])
    assert item.edges[ANNA].member_type == name
