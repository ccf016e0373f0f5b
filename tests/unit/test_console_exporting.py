"""Exports are read back by other readers, harm no spreadsheet, and never hold more than a row."""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console import exporting
from console.exporting import FORMULA_SIGNS, Format, harmless_text
from tests.support.fuzzing import fuzz
from tests.support.vcards import read_cards

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | st.sampled_from(
    ["=1+1", "'=1+1", "''@x", "'", "\r", "a\rb", "\r\n", '"', ";", ",", "\t", "+48601234567", "+48 601", "-", "\uff1d1"]
)


@dataclass(frozen=True)
class Row:
    object_id: str
    display_name: str | None
    mail: str | None = None
    enabled: bool | None = None


def written(*rows: Row, form: Format = Format.CSV, separator: str = ",", has_mark: bool = False) -> str:
    file = io.StringIO(newline="")
    exporting.write(rows, Row, form, separator=separator, has_mark=has_mark, file=file)
    return file.getvalue()


def plain(cell: str) -> str:
    """What a reader makes of a cell: the documents say it like this."""
    is_formula = cell.startswith("'") and cell.lstrip("'").startswith(FORMULA_SIGNS)
    return cell[1:] if is_formula else cell


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@fuzz(cost=2)
@given(rows=st.lists(st.tuples(TEXTS, TEXTS), max_size=4))
def test_whatever_names_hold_csv_is_read_back(separator: str, rows: list[tuple[str, str]]) -> None:
    text = written(*(Row("1", name, mail) for name, mail in rows), separator=separator)

    header, *read = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)

    assert header == ["object_id", "display_name", "mail", "enabled"]
    assert [(plain(name), plain(mail)) for _, name, mail, _ in read] == rows


@fuzz()
@given(text=TEXTS)
def test_no_cell_begins_like_a_formula_unless_it_is_a_number(text: str) -> None:
    cell = harmless_text(text)

    is_number = cell[:1] == "+" and cell[1:].isascii() and cell[1:].isdigit()
    assert is_number or not cell.startswith(FORMULA_SIGNS)


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("+48601234567", "+48601234567"),
        ("+48601234567+1", "'+48601234567+1"),
        ("+0", "'+0"),
        ("=cmd|'/c calc'!A1", "'=cmd|'/c calc'!A1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("-2", "'-2"),
        ("\t=1", "'\t=1"),
        ("O'Connor", "O'Connor"),
        ("'t Hooft", "'t Hooft"),
    ],
)
def test_a_formula_gets_an_apostrophe_and_a_number_stays(text: str, cell: str) -> None:
    assert harmless_text(text) == cell


@fuzz(cost=2)
@given(names=st.lists(TEXTS, max_size=4))
def test_whatever_names_hold_json_is_read_back(names: list[str]) -> None:
    rows = [Row("1", name, enabled=True) for name in names]

    lines = written(*rows, form=Format.JSONL).split("\n")
    array = json.loads(written(*rows, form=Format.JSON))

    assert lines.pop() == ""
    assert [json.loads(line) for line in lines] == array
    assert [one["display_name"] for one in array] == names


def test_a_mark_comes_once_and_first() -> None:
    assert (
        written(Row("1", "Ł"), has_mark=True).encode()
        == b"\xef\xbb\xbfobject_id,display_name,mail,enabled\n1,\xc5\x81,,\n"
    )


def test_a_card_has_what_the_row_knows() -> None:
    anna = "3f0a0000-0000-4000-8000-000000000001"

    (card,) = read_cards(written(Row(anna, "Anna", "anna@contoso.example"), form=Format.VCARD).encode())

    assert {name: value.parts for name, value in card.items()} == {
        "VERSION": ("4.0",),
        "UID": (f"urn:uuid:{anna}",),
        "FN": ("Anna",),
        "EMAIL": ("anna@contoso.example",),
    }


@pytest.mark.parametrize("form", Format)
def test_a_row_is_written_before_the_next_is_asked_for(form: Format) -> None:
    file = io.StringIO(newline="")

    def rows() -> Iterator[Row]:
        for number in range(50):
            assert number == 0 or f"Person {number - 1}" in file.getvalue()
            yield Row(str(number), f"Person {number}")

    exporting.write(rows(), Row, form, file=file)

    assert "Person 49" in file.getvalue()
