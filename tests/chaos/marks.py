"""Values that are easy to find again, people and a secret, and the search for them where they must not be."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from simulator.people import COUNTRIES

SURNAME = "Quxmarkowski"
SECRET_MARK = "MARKEDSECRET"
_PHONE = "+48 571 571 {:03d}"  # a valid mobile number of Poland
_MOST_PHONES = 1_000
_SHORTEST_SURNAME = 6  # "Lee" and "Clark" are words of many texts


def marked_person(number: int) -> dict[str, Any]:
    """Return the properties of a new marked person, for the simulator's control API."""
    name = f"marked.{number}@nordwind.example"
    return {
        "displayName": f"Ada {SURNAME} {number}",
        "givenName": "Ada",
        "surname": SURNAME,
        "userPrincipalName": name,
        "mail": name,
        "accountEnabled": True,
        "userType": "Member",
        "usageLocation": "PL",
        "mobilePhone": marked_phone(number),
    }


def marked_phone(number: int) -> str:
    return _PHONE.format(number % _MOST_PHONES)


@dataclass(frozen=True)
class Needle:
    """Something that must not be found; `name` says what it is without saying it."""

    name: str
    pattern: re.Pattern[bytes]


@dataclass(frozen=True)
class Leak:
    """A place where a needle was found; never what was found."""

    needle: str
    where: str

    def __str__(self) -> str:
        return f"{self.needle} in {self.where}"


def personal_needles(domain: str) -> list[Needle]:
    """Return what gives people away: the marked ones first, then everybody of the simulated company."""
    surnames = {name for country in COUNTRIES for name in country.last_names if len(name) >= _SHORTEST_SURNAME}
    return [
        _needle("a marked name", SURNAME),
        _needle("a marked number", r"(?<![0-9a-fA-F.])(?:\+?48|0048)?[ ()/-]*571[ -]?571[ -]?\d{3}(?!\d)"),
        _needle("a surname", r"\b(?:" + "|".join(sorted(re.escape(name) for name in surnames)) + r")\b"),
        _needle("a mail address", rf"[\w.+-]+@(?:{re.escape(domain)}|partner\.example)"),
        _needle("a phone number", r"(?<![\w+/=-])\+[1-9]\d{9,14}(?!\w)"),
    ]


def secret_needles(secrets: Iterable[tuple[str, str]]) -> list[Needle]:
    """Return needles of secrets, given as (what it is, the secret itself), and of anything that looks like a token."""
    return [
        *(_needle(name, re.escape(secret)) for name, secret in secrets),
        _needle("the marked secret", SECRET_MARK),
        _needle("an access token", r"eyJ[\w-]{16,}\.eyJ[\w-]{16,}"),
    ]


def leaks_in(where: str, content: bytes, needles: Iterable[Needle]) -> list[Leak]:
    """Return where needles are in `content`, by line; each line counts once for each needle."""
    leaks = []
    for needle in needles:
        if needle.pattern.search(content) is None:
            continue
        numbers = count(1)
        leaks += [
            Leak(needle.name, f"{where}:{number}")
            for number, line in zip(numbers, content.splitlines(), strict=False)
            if needle.pattern.search(line)
        ] or [Leak(needle.name, where)]
    return leaks


def leaks_in_files(paths: Iterable[Path], needles: Iterable[Needle]) -> list[Leak]:
    """Search whole files, of any size; for binary files the line means little, the file is what counts."""
    needles = list(needles)
    return [leak for path in paths if path.is_file() for leak in leaks_in(path.name, path.read_bytes(), needles)]


def _needle(name: str, pattern: str) -> Needle:
    return Needle(name, re.compile(pattern.encode()))
