"""Who of a directory belongs in the address book: everybody, the people of some groups, or those with some attributes.

A condition on attributes is a small expression, such as ``department = "Sales" and country in ("PL", "DE")``. It is
three-valued: of an attribute that nothing is known of, neither a comparison nor its opposite holds. So an entry of
which only a part is known is decided where that part decides it, and read itself where not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Protocol, cast

from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedToken, VisitError

from common.errors import EntraSmsError

TEXTS = ("department", "country", "companyName", "userType")
FLAGS = ("accountEnabled",)
PROPERTIES = (*TEXTS, *FLAGS)
"""The properties of a user that a condition can name, as Microsoft Graph calls them."""

LONGEST_CONDITION = 2_000
MOST_GROUPS = 100
EXAMPLE = 'department = "Sales" and country in ("PL", "DE")'

_GRAMMAR = r"""
?start: or_
?or_: and_ ("or"i and_)*
?and_: not_ ("and"i not_)*
?not_: "not"i not_ -> negation
     | "(" or_ ")"
     | comparison
?comparison: NAME "=" value -> equal
           | NAME "!=" value -> unequal
           | NAME "in"i "(" value ("," value)* ")" -> among
           | NAME "not"i "in"i "(" value ("," value)* ")" -> not_among
           | NAME "is"i "empty"i -> empty
           | NAME "is"i "not"i "empty"i -> not_empty
?value: TEXT | FLAG
FLAG.2: /(true|false)\b/i
TEXT: /"[^"\n]*"/ | /'[^'\n]*'/
NAME: /[A-Za-z]\w*/
%ignore /\s+/
"""
_END = "$END"
_TOKENS = {
    "NAME": "an attribute",
    "TEXT": "a text in quotes",
    "FLAG": "true or false",
    "EQUAL": "=",
    "__ANON_0": "!=",
    "LPAR": "(",
    "RPAR": ")",
    "COMMA": ",",
    _END: "the end",
}


class ScopeError(EntraSmsError):
    """A condition cannot be read; the text shows where, and what would have been right."""


class Node(Protocol):
    """A part of a condition."""

    def holds(self, said: Mapping[str, Any]) -> bool | None:
        """Tell whether it holds of what is `said` (property -> value); None: that depends on what is not said."""

    def names(self) -> frozenset[str]:
        """Return the properties that it names."""


@dataclass(frozen=True)
class Among:
    """A property has one of some values; texts are compared in any case, and None is to have none at all."""

    name: str
    values: tuple[str | bool | None, ...]

    def holds(self, said: Mapping[str, Any]) -> bool | None:
        if self.name not in said:
            return None
        return _folded(said[self.name]) in [_folded(value) for value in self.values]

    def names(self) -> frozenset[str]:
        return frozenset({self.name})

    def __str__(self) -> str:
        return self._written("is empty", "=", "in")

    @property
    def denied(self) -> str:
        """Its opposite, as it is written."""
        return self._written("is not empty", "!=", "not in")

    def _written(self, is_empty: str, equals: str, is_in: str) -> str:
        if self.values == (None,):
            return f"{self.name} {is_empty}"
        shown = [_shown(value) for value in self.values]
        return f"{self.name} {equals} {shown[0]}" if len(shown) == 1 else f"{self.name} {is_in} ({', '.join(shown)})"


@dataclass(frozen=True)
class Not:
    """The opposite."""

    part: Node

    def holds(self, said: Mapping[str, Any]) -> bool | None:
        held = self.part.holds(said)
        return None if held is None else not held

    def names(self) -> frozenset[str]:
        return self.part.names()

    def __str__(self) -> str:
        if isinstance(self.part, Among):
            return self.part.denied
        return f"not ({self.part})" if isinstance(self.part, AllOf | AnyOf) else f"not {self.part}"


@dataclass(frozen=True)
class AllOf:
    """All parts hold."""

    parts: tuple[Node, ...]

    def holds(self, said: Mapping[str, Any]) -> bool | None:
        held = [part.holds(said) for part in self.parts]
        return False if False in held else None if None in held else True

    def names(self) -> frozenset[str]:
        return frozenset().union(*(part.names() for part in self.parts))

    def __str__(self) -> str:
        return " and ".join(f"({part})" if isinstance(part, AnyOf) else str(part) for part in self.parts)


@dataclass(frozen=True)
class AnyOf:
    """One of the parts holds."""

    parts: tuple[Node, ...]

    def holds(self, said: Mapping[str, Any]) -> bool | None:
        held = [part.holds(said) for part in self.parts]
        return True if True in held else None if None in held else False

    def names(self) -> frozenset[str]:
        return frozenset().union(*(part.names() for part in self.parts))

    def __str__(self) -> str:
        return " or ".join(str(part) for part in self.parts)


@dataclass(frozen=True)
class Scope:
    """People of one of the groups (by object id, through nesting), and with the condition; without both, everybody."""

    group_ids: tuple[str, ...] = ()
    condition: Node | None = None

    @property
    def is_everybody(self) -> bool:
        return not self.group_ids and self.condition is None

    @property
    def properties(self) -> tuple[str, ...]:
        """The properties that have to be read for it, in order."""
        named = frozenset[str]() if self.condition is None else self.condition.names()
        return tuple(name for name in PROPERTIES if name in named)

    @property
    def condition_text(self) -> str | None:
        return None if self.condition is None else str(self.condition)

    @property
    def shape(self) -> str:
        """A text that is another for another scope."""
        return "" if self.is_everybody else f"{','.join(sorted(self.group_ids))};{self.condition_text or ''}"

    def admits(self, said: Mapping[str, Any], *, is_reached: bool) -> bool | None:
        """Tell whether somebody belongs in the book; None: that depends on properties of which nothing is said.

        `is_reached`: one of the groups reaches him.
        """
        if self.group_ids and not is_reached:
            return False
        return True if self.condition is None else self.condition.holds(said)


EVERYBODY = Scope()


@lru_cache(maxsize=1_000)
def read_condition(text: str) -> Node:
    """Return what the text of a condition means.

    Raises:
        ScopeError: it cannot be read.
    """
    if len(text) > LONGEST_CONDITION:
        raise ScopeError(f"A condition has at most {LONGEST_CONDITION} characters.")
    text = re.sub(r"\s", " ", text).rstrip()
    try:
        return cast(Node, _parser().parse(text))  # the transformer makes nodes of the tree
    except (UnexpectedToken, UnexpectedCharacters) as error:
        raise ScopeError(_explained(text, error)) from None
    except VisitError as error:
        if isinstance(error.orig_exc, ScopeError):
            raise error.orig_exc from None
        raise


@lru_cache(maxsize=1)
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", transformer=_Meaning())


class _Meaning(Transformer[Token, Node]):
    """From the parsed text to nodes."""

    def equal(self, parts: list[Token]) -> Node:
        return _among(parts)

    def unequal(self, parts: list[Token]) -> Node:
        return Not(_among(parts))

    def among(self, parts: list[Token]) -> Node:
        return _among(parts)

    def not_among(self, parts: list[Token]) -> Node:
        return Not(_among(parts))

    def empty(self, parts: list[Token]) -> Node:
        return Among(_property(parts[0]), (None,))

    def not_empty(self, parts: list[Token]) -> Node:
        return Not(Among(_property(parts[0]), (None,)))

    def negation(self, parts: list[Node]) -> Node:
        return Not(parts[0])

    def and_(self, parts: list[Node]) -> Node:
        return AllOf(tuple(parts))

    def or_(self, parts: list[Node]) -> Node:
        return AnyOf(tuple(parts))


def _among(parts: Sequence[Token]) -> Among:
    name, *values = parts
    known = _property(name)
    return Among(known, tuple(_value(known, value) for value in values))


def _property(token: Token) -> str:
    by_folded = {name.casefold(): name for name in PROPERTIES}
    folded = str(token).casefold()
    if folded in by_folded:
        return by_folded[folded]
    near = get_close_matches(folded, by_folded, n=1)
    meant = f" Did you mean {by_folded[near[0]]}?" if near else ""
    raise ScopeError(f"There is no attribute {token!s}.{meant} A condition can name {_listed(PROPERTIES, 'and')}.")


def _value(name: str, token: Token) -> str | bool:
    if name in FLAGS and token.type != "FLAG":
        raise ScopeError(f"{name} is true or false: write {name} = true or {name} = false, without quotes.")
    if name in TEXTS and token.type == "FLAG":
        raise ScopeError(f'{name} is a text: put what it is compared with in quotes, as in {name} = "{token!s}".')
    return token.casefold() == "true" if token.type == "FLAG" else str(token)[1:-1]


def _explained(text: str, error: UnexpectedToken | UnexpectedCharacters) -> str:
    is_at_end = isinstance(error, UnexpectedToken) and error.token.type == _END
    position = len(text) if is_at_end else error.column - 1
    accepted = error.accepts if isinstance(error, UnexpectedToken) else error.allowed
    words = [
        _TOKENS.get(name, name.casefold()) for name in sorted(accepted or (), key=lambda name: (name == _END, name))
    ]
    hint = f"Expected {_listed(words, 'or')}. " if words else ""
    return (
        f"The condition cannot be read from its character {position + 1} on:\n"
        f"  {text}\n  {' ' * position}^\n{hint}An example: {EXAMPLE}"
    )


def _listed(words: Sequence[str], last: str) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _folded(value: Any) -> Any:
    if value is None or value == "":
        return None
    return value.casefold() if isinstance(value, str) else value


def _shown(value: str | bool | None) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"'{value}'" if '"' in (value or "") else f'"{value}"'
