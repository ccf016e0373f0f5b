"""What may come instead of what was agreed: JSON of any kind, real documents with damage in them, broken bytes."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

RAW = (
    b"NaN",
    b"-Infinity",
    b"1e999999",
    b"-0",
    b"007",
    b"9" * 5_000,
    b"[" * 5_000 + b"]" * 5_000,
    b'{"a":' * 3_000 + b"1" + b"}" * 3_000,
    b"'single'",
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\xff\xfe"',
    b'"\xed\xa0\x80"',
    b'"\x01"',
    b'"\\x41"',
    b"undefined",
    b"",
    b"/* a comment */ 1",
)
"""What stands where a value should, but no encoder would write it."""

_RAW_PLACE = re.compile(rb'"<raw (\d+)>"')

texts = st.text(max_size=30) | st.sampled_from(
    [
        "",
        " ",
        "\x00",
        "\ud800",
        "a\x00b",
        "\r\n",
        "x" * 5_000,
        "../../etc/passwd",
        "<script>",
        "\u0130",
        "\u017f",
        "\uff05\uff10",
    ]
)
jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
nasty: st.SearchStrategy[Any] = (
    st.sampled_from(range(len(RAW))).map(lambda number: f"<raw {number}>")
    | st.sampled_from(
        [None, True, False, 0, -1, 2**53 + 1, 2**64, -(2**70), 1.5, 1e308, "", [], {}, [[]], [{}], [None]]
    )
    | jsons
)


@st.composite
def damaged(draw: st.DrawFn, *documents: Any, most: int = 3) -> Any:
    """One of `documents` with up to `most` places of it replaced, removed, renamed, doubled or wrapped."""
    whole = [deepcopy(draw(st.sampled_from(documents)))]
    for _ in range(draw(st.integers(0, most))):
        container, key = draw(st.sampled_from(list(_places(whole))))
        match draw(st.sampled_from(["replace", "replace", "remove", "rename", "double", "wrap"])):
            case "replace":
                container[key] = deepcopy(draw(nasty))  # the next damage may be in it
            case "remove" if container is not whole:
                del container[key]
            case "rename" if isinstance(container, dict):
                container[draw(texts)] = container.pop(key)
            case "double" if isinstance(container, list) and container is not whole:
                container.insert(key, deepcopy(container[key]))
            case _:
                container[key] = [container[key]] if draw(st.booleans()) else {"value": container[key]}
    return whole[0]


def _places(container: Any) -> Iterator[tuple[Any, Any]]:
    keys = range(len(container)) if isinstance(container, list) else list(container)
    for key in keys:
        yield container, key
        if isinstance(container[key], list | dict):
            yield from _places(container[key])


@st.composite
def written(draw: st.DrawFn, documents: st.SearchStrategy[Any]) -> bytes:
    """A document as bytes, more or less."""
    document = json.dumps(draw(documents), ensure_ascii=draw(st.booleans())).encode(errors="surrogatepass")
    body = _RAW_PLACE.sub(lambda place: RAW[int(place[1])], document)
    at = draw(st.integers(0, len(body)))
    damages = ["none"] * 8 + ["cut", "insert", "flip", "prefix", "utf-16", "twice", "doubled key"]
    match draw(st.sampled_from(damages)):
        case "cut":
            body = body[:at]
        case "insert":
            body = body[:at] + draw(st.binary(max_size=4) | st.sampled_from(RAW)) + body[at:]
        case "flip" if at < len(body):
            body = body[:at] + bytes([body[at] ^ 1 << draw(st.integers(0, 7))]) + body[at + 1 :]
        case "prefix":
            body = draw(st.sampled_from([b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b" \t\r\n", b"//\n"])) + body
        case "utf-16":
            body = body.decode(errors="replace").encode("utf-16")
        case "twice":
            body = body + body
        case "doubled key":
            body = _with_doubled_key(body, at, draw(st.sampled_from([b"null", b"7", b"[]", b'"x"'])))
    return body


def _with_doubled_key(body: bytes, at: int, value: bytes) -> bytes:
    """Say another value of some key as well, before or behind its own."""
    keys = list(re.finditer(rb'"[^"\\]+": ', body))
    if not keys:
        return body
    key = keys[at % len(keys)]
    first = body[: key.start()] + key[0] + value + b", " + body[key.start() :]
    end = body.find(b"}", key.end())
    last = body[:end] + b", " + key[0] + value + body[end:] if end >= 0 else first
    return last if at % 2 else first
