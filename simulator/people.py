"""Invented people: names, and phone numbers as they are really written into directories.

Pure functions of a random source. Nobody here exists; numbers are drawn from the mobile ranges of their countries.
"""

from __future__ import annotations

import random
import unicodedata
from dataclasses import dataclass

_DEPARTMENTS = (
    "Sales",
    "Finance",
    "Engineering",
    "Production",
    "Logistics",
    "Marketing",
    "Legal",
    "Purchasing",
    "Quality",
    "Facilities",
    "Customer Care",
    "Human Resources",
)
_TITLES = ("Specialist", "Manager", "Assistant", "Engineer", "Director", "Consultant", "Technician", "Coordinator")
RUBBISH = ("n/a", "see reception", "-", "tbd", "none", "ask Ms. Braun", "0", "intern", "???", "+")


@dataclass(frozen=True)
class Country:
    """How people of a country are called and how their numbers look; `#` stands for a digit.

    Attributes:
        prefix: Country calling code with `+`.
        trunk: Digits dialled in front of a national number inside the country.
        mobile: Forms of mobile numbers without trunk prefix, written with spaces.
        landline: Forms of landline numbers, likewise.
    """

    code: str
    name: str
    language: str
    prefix: str
    trunk: str
    mobile: tuple[str, ...]
    landline: tuple[str, ...]
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    cities: tuple[str, ...]


COUNTRIES = (
    Country(
        "PL", "Poland", "pl-PL", "+48", "",
        ("50# ### ###", "60# ### ###", "66# ### ###", "78# ### ###"), ("22 6## ## ##", "12 4## ## ##"),
        ("Anna", "Piotr", "Katarzyna", "Tomasz", "Agnieszka", "Paweł", "Magdalena", "Krzysztof", "Zofia", "Łukasz"),
        ("Nowak", "Kowalski", "Wiśniewski", "Wójcik", "Kamiński", "Lewandowska", "Zieliński", "Szymańska", "Dąbrowski"),
        ("Warszawa", "Kraków", "Gdańsk"),
    ),
    Country(
        "DE", "Germany", "de-DE", "+49", "0",
        ("151 2#######", "160 9#######", "171 3######", "176 4#######"), ("30 2######", "89 5######"),
        ("Lena", "Jonas", "Marie", "Felix", "Sabine", "Jürgen", "Katrin", "Stefan", "Heike", "Björn"),
        ("Müller", "Schmidt", "Schneider", "Fischer", "Weber", "Wagner", "Becker", "Schäfer", "Hoffmann", "Krüger"),
        ("Berlin", "München", "Hamburg"),
    ),
    Country(
        "GB", "United Kingdom", "en-GB", "+44", "0",
        ("7911 1#####", "7700 1#####", "7412 3#####", "7980 2#####"), ("20 7946 0###", "161 496 0###"),
        ("Oliver", "Amelia", "George", "Isla", "Harry", "Olivia", "Callum", "Freya", "Rhys", "Niamh"),
        ("Smith", "Jones", "Taylor", "Brown", "Williams", "Davies", "Evans", "O'Connor", "Patel", "MacLeod"),
        ("London", "Manchester", "Cardiff"),
    ),
    Country(
        "US", "United States", "en-US", "+1", "",
        ("212 2## ####", "415 3## ####", "312 4## ####", "646 5## ####"), ("206 3## ####", "617 2## ####"),
        ("Emma", "Liam", "Sophia", "Noah", "Ava", "Ethan", "Mia", "Lucas", "Harper", "Mateo"),
        ("Johnson", "Miller", "Garcia", "Anderson", "Thomas", "Martinez", "Nguyen", "Clark", "Lee", "Robinson"),
        ("New York", "San Francisco", "Chicago"),
    ),
    Country(
        "FR", "France", "fr-FR", "+33", "0",
        ("6 12 ## ## ##", "6 78 ## ## ##", "7 66 ## ## ##"), ("1 42 ## ## ##", "4 91 ## ## ##"),
        ("Camille", "Hugo", "Léa", "Louis", "Chloé", "Gabriel", "Inès", "Jules", "Élodie", "François"),
        ("Martin", "Bernard", "Dubois", "Lefèvre", "Moreau", "Laurent", "Simon", "Garnier", "Rousseau", "Girard"),
        ("Paris", "Marseille", "Lyon"),
    ),
    Country(
        "ES", "Spain", "es-ES", "+34", "",
        ("612 ### ###", "654 ### ###", "698 ### ###"), ("912 ### ###", "932 ### ###"),
        ("Lucía", "Martín", "Sofía", "Pablo", "Carmen", "Álvaro", "Elena", "Javier"),
        ("García", "Fernández", "López", "Muñoz", "Sánchez", "Romero", "Navarro", "Iglesias"),
        ("Madrid", "Barcelona"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A name, a country, and what goes with them."""

    given_name: str
    surname: str
    country: Country

    @property
    def display_name(self) -> str:
        return f"{self.given_name} {self.surname}"

    @property
    def mail_name(self) -> str:
        """The part before the @: plain lower-case letters, dots and digits."""
        return f"{plain(self.given_name)}.{plain(self.surname)}"


def draw_person(source: random.Random) -> Person:
    country = source.choice(COUNTRIES)
    return Person(source.choice(country.first_names), source.choice(country.last_names), country)


def draw_department(source: random.Random) -> str:
    return source.choice(_DEPARTMENTS)


def draw_title(source: random.Random) -> str:
    return source.choice(_TITLES)


def draw_mobile(source: random.Random, country: Country) -> str:
    """Return a mobile number in one of the ways that people write them."""
    return _write(source, country, source.choice(country.mobile))


def draw_landline(source: random.Random, country: Country) -> str:
    return _write(source, country, source.choice(country.landline))


def plain(name: str) -> str:
    """Return a name in ASCII lower case: `Łukasz` becomes `lukasz`."""
    replaced = name.replace("Ł", "L").replace("ł", "l").replace("ß", "ss").replace("'", "")
    return unicodedata.normalize("NFKD", replaced).encode("ascii", "ignore").decode().lower()


def _write(source: random.Random, country: Country, form: str) -> str:
    digits = iter(f"{int(source.random() * 10**10):010d}")
    number = "".join(next(digits) if sign == "#" else sign for sign in form)
    return source.choices(_STYLES, _STYLE_WEIGHTS)[0](source, country, number)


def _e164(_: random.Random, country: Country, number: str) -> str:
    return country.prefix + number.replace(" ", "")


def _national(_: random.Random, country: Country, number: str) -> str:
    return country.trunk + number


def _international(_: random.Random, country: Country, number: str) -> str:
    return f"{country.prefix} {number}"


def _bracketed(_: random.Random, country: Country, number: str) -> str:
    area, _space, rest = number.partition(" ")
    return f"{country.prefix} ({area}) {rest.replace(' ', '-')}"


def _with_double_zero(_: random.Random, country: Country, number: str) -> str:
    return f"00{country.prefix.removeprefix('+')}{number.replace(' ', '')}"


def _with_extension(source: random.Random, country: Country, number: str) -> str:
    return f"{country.prefix} {number} ext. {source.randint(1, 999)}"


def _padded(_: random.Random, country: Country, number: str) -> str:
    return f" {country.trunk}{number.replace(' ', '-')} "


_STYLES = (_e164, _national, _international, _bracketed, _with_double_zero, _with_extension, _padded)
_STYLE_WEIGHTS = (55, 17, 12, 6, 4, 3, 3)
