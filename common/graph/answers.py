"""What an answer of Graph means for us: one table from HTTP status and error code to a reaction.

Keyed on status and `error.code` (also nested), never on the words of a message, with one exception: the wrapper
``Status Code: X`` by which Graph reports another service's trouble. Source: Microsoft Graph error responses;
delta query overview, synchronization reset.
"""

from __future__ import annotations

import email.utils
import re
import time

import orjson
import requests

from common.errors import AccessError, EntraSmsError, ResyncNeededError, RetryLaterError

DEAD_TOKEN_CODES = frozenset({"syncstatenotfound", "syncstateinvalid", "resyncrequired", "request_unsupportedquery"})
DEAD_PAGE_CODES = frozenset({"directory_expiredpagetoken"})
LONGEST_RETRY_AFTER_SECONDS = 3600.0
LONGEST_CODE = 80
"""Graph's own codes have up to about 50 characters."""

_NO_WORD = re.compile(r"[^A-Za-z0-9_.:-]")
_INNER_STATUS = re.compile(r"Status Code:\s*(\w+)")
_TRANSIENT_INNER = frozenset({"ServiceUnavailable", "TooManyRequests", "GatewayTimeout", "BadGateway"})


class GraphUnavailableError(RetryLaterError):
    """Graph cannot be reached or is in trouble (5xx)."""


class GraphThrottledError(RetryLaterError):
    """Graph asked to be left alone for `delay_seconds` (429, or 503 with Retry-After)."""


class GraphRefusedError(RetryLaterError):
    """Graph refuses the request itself, and not for its token: a mistake of ours, or a passing one of theirs."""

    def __init__(self, message: str, status: int, code: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class DoubtfulTokenError(GraphRefusedError):
    """A 400 on a request that carried a token, with no code that names the token: once is chance, twice is dead."""


class PageTokenExpiredError(EntraSmsError):
    """The nextLink died (they live minutes to hours): the round begins again from where it began."""


class GraphNotFoundError(EntraSmsError):
    """The object is not there (404)."""


class GraphConflictError(EntraSmsError):
    """The object is there already (409); `existing_id` is the GUID that Graph names, if it names one."""

    def __init__(self, message: str, existing_id: str | None) -> None:
        super().__init__(message)
        self.existing_id = existing_id


class TokenNotAcceptedError(AccessError):
    """Graph does not accept a token that Entra has just issued (401): once is chance, it happens to valid tokens."""


class PermissionMissingError(AccessError):
    """Graph knows the application but denies this request (403): a permission, a consent or room in a quota lacks."""


def raise_for_answer(response: requests.Response, *, carries_token: bool) -> None:
    """Raise what `response` means, or return when it is a success.

    Raises:
        GraphNotFoundError, GraphConflictError, AccessError, ResyncNeededError, PageTokenExpiredError,
        RetryLaterError: see their docstrings.
    """
    status = response.status_code
    if 200 <= status < 300:
        return
    codes, message = error_of(response)
    code = codes[0] if codes else ""
    said = f"Graph answered {status} {code}".rstrip() + "."
    # A date is meant by the clock of whoever sent it: ours may be wrong by minutes.
    retry_after = retry_after_seconds(response.headers.get("Retry-After"), now=_moment(response.headers.get("Date")))
    if status == 429 or (status == 503 and retry_after is not None):
        raise GraphThrottledError(said, retry_after)
    if status >= 500 and status != 501:
        raise GraphUnavailableError(said, retry_after)
    if status == 404:
        raise GraphNotFoundError(said)
    if status == 409:
        raise GraphConflictError(said, _guid_in(message))
    if status in (401, 403):
        raise _access_error(status, code, message)
    if carries_token:
        _raise_for_dead_token(status, codes, said)
    raise GraphRefusedError(said, status, code)


def error_of(response: requests.Response) -> tuple[list[str], str]:
    """Return the codes of an error, the outer one first, and its message; empty when the body is not of that shape.

    A code is repeated in sentences, rows and log lines: it is cut down to a word of bounded length.
    """
    try:
        error = orjson.loads(response.content)["error"]
        message = str(error.get("message") or "")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return [], ""
    codes = []
    while isinstance(error, dict):
        codes.append(_NO_WORD.sub("", str(error.get("code") or ""))[:LONGEST_CODE])
        error = error.get("innerError") or error.get("innererror")
    return codes, message


def retry_after_seconds(value: str | None, *, now: float | None = None) -> float | None:
    """Read Retry-After: whole or decimal seconds, or an HTTP date; None when it is absent or unreadable."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        moment = _moment(value)
        if moment is None:
            return None
        seconds = moment - (time.time() if now is None else now)
    if seconds != seconds:  # noqa: PLR0124 - "nan" is the one value unequal to itself
        return None
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _moment(text: str | None) -> float | None:
    parts = email.utils.parsedate_tz(text) if text else None
    try:
        return None if parts is None else email.utils.mktime_tz(parts)
    except (ValueError, OverflowError):
        return None  # a date of no calendar


def _raise_for_dead_token(status: int, codes: list[str], said: str) -> None:
    lowered = {code.lower() for code in codes}
    if lowered & DEAD_PAGE_CODES:
        raise PageTokenExpiredError(said)
    if status == 410 or lowered & DEAD_TOKEN_CODES:
        raise ResyncNeededError(said)
    if status == 400:
        raise DoubtfulTokenError(said, status, codes[0] if codes else "")


def _access_error(status: int, code: str, message: str) -> EntraSmsError:
    inner = _INNER_STATUS.search(message)
    if inner and inner.group(1) in _TRANSIENT_INNER:
        return GraphUnavailableError(f"Graph answered {status}, caused by {inner.group(1)}.")
    if status == 401:
        return TokenNotAcceptedError(
            "Graph does not accept the access token.",
            "Check that the tenant id belongs to the directory in which the application is registered.",
            code or "401",
        )
    return PermissionMissingError(
        f"Graph denied the request ({code or status}): a permission or its consent is missing.",
        "In the Entra admin center open App registrations > your application > API permissions, add the application "
        "permissions User.Read.All, Group.Read.All and GroupMember.Read.All, and click 'Grant admin consent'.",
        code or "403",
    )


def _guid_in(message: str) -> str | None:
    found = re.search(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", message)
    return found.group(0).lower() if found else None
