"""Query options of Graph requests, read the tolerant way the service reads them.

Option names may come in any casing, with `$` or `%24`. Values are strict.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from werkzeug.datastructures import MultiDict

from simulator.graph_errors import GraphError, bad_request, unsupported_query
from simulator.schema import Schema

MOST_FILTERED_IDS = 50
LARGEST_PAGE = 999
_ID_CLAUSE = re.compile(r"\s*\(?\s*id\s+eq\s+'([^']*)'\s*\)?\s*", re.IGNORECASE)


def options(arguments: MultiDict[str, str]) -> dict[str, str]:
    """Return the options by lower-case name without the `$`; the first of repeated ones wins."""
    found: dict[str, str] = {}
    for name, value in arguments.items():
        found.setdefault(name.lower().removeprefix("$"), value)
    return found


def selected(given: Mapping[str, str], schema: Schema, *, delta: bool = False) -> tuple[str, ...] | None:
    """Return the selected names in canonical spelling without `id`, None when nothing was selected.

    Raises:
        GraphError: 400 for a name that does not exist; 501 in delta queries for one outside the main store.
    """
    text = given.get("select")
    if text is None or not text.strip():
        return None
    names: list[str] = []
    for raw in text.split(","):
        name = schema.canonical(raw.strip())
        if name is None or (name in schema.relations and not delta):
            raise GraphError(
                400,
                "BadRequest",
                f"Could not find a property named '{raw.strip()}' on type 'microsoft.graph.{schema.type}'.",
            )
        if delta and name in schema.untracked:
            raise GraphError(501, "NotImplemented", "This operation target is not yet supported.")
        if name != "id" and name not in names:
            names.append(name)
    return tuple(names)


def filtered_ids(given: Mapping[str, str]) -> tuple[str, ...] | None:
    """Return the ids of an `id eq '…' or id eq '…'` filter, None without a filter.

    Raises:
        GraphError: 400 for any other filter, and for more than 50 ids.
    """
    text = given.get("filter")
    if text is None:
        return None
    ids: list[str] = []
    for clause in re.split(r"\s+or\s+", text, flags=re.IGNORECASE):
        match = _ID_CLAUSE.fullmatch(clause)
        if match is None:
            raise unsupported_query("Unsupported or invalid query filter clause specified.")
        if match[1] not in ids:
            ids.append(match[1])
    if len(ids) > MOST_FILTERED_IDS:
        raise unsupported_query(f"Too many ids in the filter: at most {MOST_FILTERED_IDS} are supported.")
    return tuple(ids)


def top(given: Mapping[str, str], default: int = 100) -> int:
    """Return the page size of a listing; 400 unless it is a whole number from 1 to 999."""
    text = given.get("top")
    if text is None:
        return default
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_PAGE:
        raise bad_request(f"Invalid page size specified: '{text}'. Must be between 1 and {LARGEST_PAGE} inclusive.")
    return int(text)


def refuse(given: Mapping[str, str], *names: str) -> None:
    """Raise 400 when one of these options is present."""
    for name in names:
        if name in given:
            raise unsupported_query(f"The query option '${name}' is not supported here.")
