"""`entra-sms contacts export`: whom it writes, how, and where to."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.book import Book, book, guid
from tests.support.console import EntraSms
from tests.support.vcards import read_cards


@pytest.fixture
def contoso(database_url: str) -> Iterator[Book]:
    """Anna in Sales, Ben in a group in it, and Jan in none."""
    with book(database_url) as made:
        anna = made.person(
            "Anna", given_name="Anna", surname="Nowak", phone="+48601234567", mail="anna@contoso.example"
        )
        ben = made.person("Ben", phone_state="invalid")
        made.person("Jan", phone="+48221234567", phone_source="business")
        within = made.group("Key Account", ("user", ben))
        made.group("Sales", ("user", anna), ("group", within))
        yield made


@pytest.fixture
def entra_sms(database_url: str) -> EntraSms:
    return EntraSms({"database_url": database_url})


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ((), {"Anna", "Ben", "Jan"}),
        (("--group", "Sales"), {"Anna", "Ben"}),
        (("--group", "Sales", "--direct"), {"Anna"}),
        (("--state", "ok"), {"Anna", "Jan"}),
        (("--group", "Sales", "--state", "invalid"), {"Ben"}),
    ],
)
def test_those_are_written_who_are_asked_for(
    contoso: Book, entra_sms: EntraSms, options: tuple[str, ...], names: set[str]
) -> None:
    ended = entra_sms("contacts", "export", "--format", "jsonl", *options)

    assert ended.code == 0
    assert {json.loads(line)["display_name"] for line in ended.out.splitlines()} == names


def test_a_spreadsheet_gets_the_separator_and_the_mark_that_it_wants(contoso: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("contacts", "export", "--separator", ";", "--bom", "--state", "invalid")

    assert ended.out.startswith("\ufeffobject_id;display_name;")
    (ben,) = csv.DictReader(io.StringIO(ended.out.removeprefix("\ufeff"), newline=""), delimiter=";")
    assert (ben["display_name"], ben["phone"], ben["phone_state"]) == ("Ben", "", "invalid")


def test_cards_are_of_people_with_the_ids_of_the_directory(contoso: Book, entra_sms: EntraSms) -> None:
    ended = entra_sms("contacts", "export", "--format", "vcard")

    cards = {card["FN"].parts[0]: card for card in read_cards(ended.out.encode())}
    assert set(cards) == {"Anna", "Ben", "Jan"}
    assert cards["Anna"]["UID"].parts == (f"urn:uuid:{guid(f'{contoso.tenant_id} Anna')}",)
    assert cards["Anna"]["N"].parts == ("Nowak", "Anna", "", "", "")
    assert cards["Anna"]["EMAIL"].parts == ("anna@contoso.example",)
    assert (cards["Anna"]["TEL"].parameters, cards["Anna"]["TEL"].parts) == (
        ";VALUE=uri;TYPE=cell",
        ("tel:+48601234567",),
    )
    assert cards["Jan"]["TEL"].parameters == ";VALUE=uri;TYPE=work"
    assert "TEL" not in cards["Ben"]


def test_a_file_holds_what_stdout_would_have_and_nothing_is_printed(
    contoso: Book, entra_sms: EntraSms, tmp_path: Path
) -> None:
    file = tmp_path / "people.vcf"

    ended = entra_sms("contacts", "export", "--format", "vcard", "--output", str(file))

    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert file.read_bytes().decode() == entra_sms("contacts", "export", "--format", "vcard").out
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_group_that_is_not_there_leaves_the_file_as_it_was(
    contoso: Book, entra_sms: EntraSms, tmp_path: Path
) -> None:
    file = tmp_path / "people.csv"
    file.write_text("before")

    ended = entra_sms("contacts", "export", "--group", "Nobody", "--output", str(file))

    assert ended.code == 1
    assert file.read_text() == "before"


def test_recipients_are_exported_in_the_same_ways(contoso: Book, entra_sms: EntraSms, tmp_path: Path) -> None:
    file = tmp_path / "recipients.vcf"

    ended = entra_sms("recipients", "Sales", "--format", "vcard", "--output", str(file))
    lines = entra_sms("recipients", "Sales", "--format", "jsonl").out.splitlines()
    table = entra_sms("recipients", "Sales", "--separator", ";", "--bom").out

    (card,) = read_cards(file.read_bytes())
    assert (ended.code, ended.out) == (0, "")
    assert (card["FN"].parts, card["TEL"].parts) == (("Anna",), ("tel:+48601234567",))
    assert [json.loads(line)["phone"] for line in lines] == ["+48601234567"]
    assert table.startswith("\ufeffphone;display_name;")


@pytest.mark.parametrize("options", [("--bom",), ("--separator", ";")])
def test_what_belongs_to_csv_is_refused_elsewhere(contoso: Book, entra_sms: EntraSms, options: tuple[str, ...]) -> None:
    ended = entra_sms("contacts", "export", "--format", "json", *options)

    assert ended.code == 2
    assert "belong to --format csv" in ended.words
