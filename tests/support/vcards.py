"""A strict reader of vCard 4.0, written from RFC 6350: whatever the grammar does not allow is an AssertionError."""

import re
from dataclasses import dataclass

_PROPERTY = re.compile(r"(?P<name>[A-Z-]+)(?P<parameters>(?:;[A-Z-]+=[a-z]+)*):(?P<value>.*)", re.DOTALL)
_FORBIDDEN = re.compile("[\x00-\x08\x0a-\x1f\x7f]")
_ESCAPE = re.compile(r"\\(.?)")
_TEXTS = ("FN", "N", "EMAIL")


@dataclass(frozen=True)
class Property:
    """A line of a card; `parts` is the value, split where it is structured, without escapes."""

    parameters: str
    parts: tuple[str, ...]


def read_cards(octets: bytes) -> list[dict[str, Property]]:
    """Return the properties of each card by their names, none of which may come twice."""
    lines = octets.split(b"\r\n")
    assert lines.pop() == b"", "the last line has no end"
    found: list[dict[str, Property]] = []
    for line in _unfolded(lines):
        if line == "BEGIN:VCARD":
            found.append({})
        elif line != "END:VCARD":
            name, value = _property(line)
            assert name not in found[-1], f"{name} stands twice"
            found[-1][name] = value
    for card in found:
        assert next(iter(card)) == "VERSION", "RFC 6350 3.3: VERSION comes first"
        assert card["VERSION"].parts == ("4.0",)
        assert "FN" in card, "RFC 6350 6.2.1: a card has a name"
    return found


def _unfolded(lines: list[bytes]) -> list[str]:
    found: list[str] = []
    for line in lines:
        assert len(line) <= 75, f"{len(line)} octets in one line"
        text = line.decode()
        assert not _FORBIDDEN.search(text), repr(text)
        if text[0] in " \t":
            found[-1] += text[1:]
        else:
            found.append(text)
    return found


def _property(line: str) -> tuple[str, Property]:
    match = _PROPERTY.fullmatch(line)
    assert match, repr(line)
    parts = [match["value"]]
    if match["name"] in _TEXTS:
        parts = [_without_escapes(part) for part in _parts(match["value"], structured=match["name"] == "N")]
    return match["name"], Property(match["parameters"], tuple(parts))


def _parts(value: str, *, structured: bool) -> list[str]:
    found, at = [""], 0
    while at < len(value):
        length = 2 if value[at] == "\\" else 1
        if value[at] == ";" and structured:
            found.append("")
        else:
            assert value[at] not in ",;", f"{value[at]} is not escaped in {value!r}"
            found[-1] += value[at : at + length]
        at += length
    return found


def _without_escapes(text: str) -> str:
    def letter(match: re.Match[str]) -> str:
        assert match[1] in ("\\", ",", ";", "n"), f"{match[0]} is no escape"
        return "\n" if match[1] == "n" else match[1]

    return _ESCAPE.sub(letter, text)
