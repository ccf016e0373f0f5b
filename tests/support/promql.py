"""Reads the expressions of alerts and dashboards as far as tests need it: what they name, whether they hold together.

It knows the part of PromQL that is used here; what it does not know is an error, not a pass.
"""

import re
from dataclasses import dataclass
from typing import NamedTuple

_TOKEN = re.compile(
    r"""\s*(?:
    (?P<string>"(?:[^"\\]|\\.)*")
  | (?P<duration>\[(?:\d+[smhd]|\$__rate_interval)\])
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<name>[a-zA-Z_]\w*)
  | (?P<sign>==|!=|=~|!~|>=|<=|[-+*/(){},=<>])
    )""",
    re.VERBOSE,
)
_RANGED = {"rate", "increase"}
_FUNCTIONS = {*_RANGED, "absent", "histogram_quantile", "max", "min", "scalar", "sum"}
_GROUPINGS = {"by", "without", "on"}
_PAIRS = {")": "(", "}": "{"}


class NotUnderstoodError(ValueError):
    """The expression is none, or of a kind that is not used here."""


class Matcher(NamedTuple):
    """A condition on a label, e.g. ``state!="working"``."""

    label: str
    sign: str
    value: str

    def matches(self, value: str) -> bool:
        """Tell whether a series with this value of the label is meant."""
        is_regex = self.sign in ("=~", "!~")
        same = re.fullmatch(self.value, value) is not None if is_regex else value == self.value
        return same is self.sign.startswith("=")


@dataclass(frozen=True)
class Named:
    """What an expression names: each metric with its conditions, and the labels that it groups by."""

    metrics: list[tuple[str, list[Matcher]]]
    groupings: set[str]


def named(expression: str) -> Named:
    """Return what `expression` names.

    Raises:
        NotUnderstoodError: brackets, an unknown function or sign, a rate without a range or a range without a rate.
    """
    tokens = _tokens(expression)
    _check_brackets(tokens)
    found = Named([], set())
    position = 0
    while position < len(tokens):
        kind, text = tokens[position]
        after = tokens[position + 1][1] if position + 1 < len(tokens) else ""
        if kind == "name" and text in _GROUPINGS:
            end = _end_of(tokens, position + 1, ")")
            found.groupings.update(text for kind, text in tokens[position + 2 : end] if kind == "name")
            position = end
        elif kind == "name" and (after == "(" or after in _GROUPINGS) and text != "and":
            if text not in _FUNCTIONS:
                raise NotUnderstoodError(f"{text} is no function that is used here")
        elif kind == "name" and text != "and":
            position = _metric(tokens, position, found)
        position += 1
    return found


def _metric(tokens: list[tuple[str, str]], position: int, found: Named) -> int:
    """Note the metric that is named at `position`; return the position of its last token."""
    name, end, matchers = tokens[position][1], position, []
    if position + 1 < len(tokens) and tokens[position + 1][1] == "{":
        end = _end_of(tokens, position + 1, "}")
        inside = [token for token in tokens[position + 2 : end] if token[1] != ","]
        for label, sign, value in zip(inside[::3], inside[1::3], inside[2::3], strict=True):
            matchers.append(Matcher(label[1], sign[1], value[1].strip('"')))
    is_ranged = end + 1 < len(tokens) and tokens[end + 1][0] == "duration"
    if is_ranged != (position >= 2 and tokens[position - 2][1] in _RANGED):
        raise NotUnderstoodError(f"{name}: a rate has a range, and nothing else has")
    found.metrics.append((name, matchers))
    return end + is_ranged


def _tokens(expression: str) -> list[tuple[str, str]]:
    tokens, position = [], 0
    while expression[position:].strip():
        match = _TOKEN.match(expression, position)
        if match is None or match.lastgroup is None:
            raise NotUnderstoodError(f"not understood: {expression[position:]!r}")
        tokens.append((match.lastgroup, match[match.lastgroup]))
        position = match.end()
    return tokens


def _check_brackets(tokens: list[tuple[str, str]]) -> None:
    opened: list[str] = []
    for kind, text in tokens:
        if kind == "sign" and text in _PAIRS.values():
            opened.append(text)
        elif kind == "sign" and text in _PAIRS and (not opened or opened.pop() != _PAIRS[text]):
            raise NotUnderstoodError(f"a {text} too many")
    if opened:
        raise NotUnderstoodError(f"a {opened[-1]} is never closed")


def _end_of(tokens: list[tuple[str, str]], start: int, bracket: str) -> int:
    return next(number for number in range(start, len(tokens)) if tokens[number][1] == bracket)
