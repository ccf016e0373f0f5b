"""People as vCards, read back by a strict reader."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.vcard import Card, cleaned
from tests.support.fuzzing import fuzz
from tests.support.vcards import read_cards

ANNA = "3f0a0000-0000-4000-8000-000000000001"
AWKWARD = [
    "Zofia \\n Szymańska",
    "a;b,c\\",
    "two\nlines",
    "CR\r\nLF\x85\u2028",
    "\x00\x1b[31m\x7f\x9b",
    "😀" * 60,
    "x" * 300,
    " \t ",
]
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=120) | st.sampled_from(AWKWARD)


def test_a_card_says_what_is_known() -> None:
    card = Card(ANNA, "Anna Nowak", "Anna", "Nowak", "+48601234567", "mobile", "anna@contoso.example")

    assert str(card).split("\r\n") == [
        "BEGIN:VCARD",
        "VERSION:4.0",
        f"UID:urn:uuid:{ANNA}",
        "FN:Anna Nowak",
        "N:Nowak;Anna;;;",
        "TEL;VALUE=uri;TYPE=cell:tel:+48601234567",
        "EMAIL:anna@contoso.example",
        "END:VCARD",
        "",
    ]


@pytest.mark.parametrize(("source", "type_"), [("mobile", ";TYPE=cell"), ("business", ";TYPE=work"), (None, "")])
def test_a_number_is_of_the_kind_that_the_directory_says(source: str | None, type_: str) -> None:
    (card,) = read_cards(str(Card(ANNA, phone="+48221234567", phone_source=source)).encode())

    assert card["TEL"].parameters == f";VALUE=uri{type_}"


@pytest.mark.parametrize(
    ("card", "name"),
    [
        (Card(ANNA, given_name="Anna", surname="Nowak", mail="a@contoso.example"), "Anna Nowak"),
        (Card(ANNA, surname="Nowak"), "Nowak"),
        (Card(ANNA, mail="a@contoso.example", phone="+48601234567"), "a@contoso.example"),
        (Card(ANNA, phone="+48601234567"), "+48601234567"),
        (Card(ANNA), ANNA),
    ],
)
def test_a_card_has_a_name_whatever_is_known(card: Card, name: str) -> None:
    assert read_cards(str(card).encode())[0]["FN"].parts == (name,)


@fuzz()
@given(display=NAMES, given_name=NAMES, surname=NAMES, mail=NAMES)
def test_whatever_names_hold_is_read_back(display: str, given_name: str, surname: str, mail: str) -> None:
    card = Card(ANNA, display, given_name, surname, "+48601234567", "mobile", mail)

    (read,) = read_cards(str(card).encode())

    assert read["UID"].parts == (f"urn:uuid:{ANNA}",)
    assert read["TEL"].parts == ("tel:+48601234567",)
    if display:
        assert read["FN"].parts == (cleaned(display),)
    if given_name or surname:
        assert read["N"].parts == (cleaned(surname), cleaned(given_name), "", "", "")
    if mail:
        assert read["EMAIL"].parts == (cleaned(mail),)


@pytest.mark.parametrize("line_break", ["\r\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029"])
def test_every_line_break_is_one_and_what_could_steer_a_terminal_is_none(line_break: str) -> None:
    assert cleaned(f"a{line_break}b\x1b\x7f\tc") == "a\nb\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}\tc"
