"""The search for marked values finds them where they were planted, says where, and never repeats them."""

from pathlib import Path

import phonenumbers
import pytest

from tests.chaos.marks import (
    SECRET_MARK,
    SURNAME,
    leaks_in,
    leaks_in_files,
    marked_person,
    marked_phone,
    personal_needles,
    secret_needles,
)

PERSONAL = personal_needles("nordwind.example")
SECRET = secret_needles([("the server key", "0123456789abcdef+/"), ("a clientState", "v1.abc.def")])
TOKEN = "eyJhbGciOiJSUzI1NiIsInR5cCI6.eyJhdWQiOiJodHRwczovL2dyYXBo.c2lnbmF0dXJl"
CLEAN = """\
{"event": "broker_connected", "queues": ["sync.requests"], "tenant": "571571a0-0000-4000-8000-000571571571"}
{"event": "turn_failed", "seconds": 0.571571123, "at": "2026-03-02T08:15:30.571571+00:00", "error": "429"}
"""


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (f"hello {SURNAME}", "a marked name"),
        ("to +48 571 571 042 now", "a marked number"),
        ("to +48571571042", "a marked number"),
        ("to 571-571-042.", "a marked number"),
        ("0048571571042", "a marked number"),
        ("Key (display_name)=(Zofia Szymańska) exists", "a surname"),
        ("who is jan.kowal@nordwind.example?", "a mail address"),
        ("guest lee@partner.example", "a mail address"),
        ('"phone": "+4915112345678"', "a phone number"),
    ],
)
def test_what_gives_a_person_away_is_found(planted: str, found: str) -> None:
    leaks = leaks_in("worker.log", f"{CLEAN}{planted}\n{CLEAN}".encode(), PERSONAL)
    assert found in {leak.needle for leak in leaks}
    assert {leak.where for leak in leaks} == {"worker.log:3"}


@pytest.mark.parametrize(
    ("planted", "found"),
    [
        (f"secret={SECRET_MARK}~x", "the marked secret"),
        ("key 0123456789abcdef+/", "the server key"),
        ("state v1.abc.def", "a clientState"),
        (f"Bearer {TOKEN}", "an access token"),
    ],
)
def test_a_secret_is_found(planted: str, found: str) -> None:
    [leak] = leaks_in("webhook.log", f"{CLEAN}{planted}".encode(), SECRET)
    assert str(leak) == f"{found} in webhook.log:3"
    assert planted not in str(leak)


def test_ordinary_lines_are_clean() -> None:
    assert leaks_in("worker.log", CLEAN.encode(), PERSONAL + SECRET) == []


def test_binary_files_are_searched_as_well(tmp_path: Path) -> None:
    (tmp_path / "clean").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "heap").write_bytes(bytes(range(256)) * 100 + SECRET_MARK.encode() + bytes(range(256)))
    leaks = leaks_in_files([tmp_path / "clean", tmp_path / "heap", tmp_path / "not there"], SECRET)
    assert {leak.where.split(":")[0] for leak in leaks} == {"heap"}


@pytest.mark.parametrize("number", [0, 41, 999, 1_041])
def test_marked_people_have_valid_numbers(number: int) -> None:
    person = marked_person(number)
    assert person["mobilePhone"] == marked_phone(number)
    assert phonenumbers.is_valid_number(phonenumbers.parse(person["mobilePhone"], "PL"))
