"""Graph and the login service: can they be reached, with TLS that is trusted, and does their clock agree with ours?"""

from __future__ import annotations

import email.utils
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import requests

from common.clock import utc_now
from common.cloud import DEFAULT, Cloud
from common.config import Settings
from common.graph.http import VerifiedSession
from console import clock_difference, network_trouble
from console.exits import Exit
from console.finding import Finding, fine, trouble
from console.network_trouble import NetworkTrouble

ADVICE = {
    NetworkTrouble.UNKNOWN_NAME: "Correct the setting, or this machine's DNS.",
    NetworkTrouble.OUT_OF_DATE: "Look at this machine's clock, and at what stands between.",
    NetworkTrouble.UNTRUSTED: "If a proxy in between opens TLS, name its authority in ENTRA_SMS_CA_BUNDLE.",
}
LET_OUT = "Let this machine out to it on this port; a proxy can be named in HTTPS_PROXY."


def look(settings: Settings, clouds: Sequence[Cloud]) -> Iterator[Finding]:
    """Yield whether Graph and the login service of each cloud answer anything at all; nobody is signed in."""
    difference: Finding | None = None
    for cloud in clouds:
        for name, title, origin, path in (
            ("graph", "Graph", cloud.graph_url, "/v1.0/"),
            ("login", "The login service", cloud.login_url, "/common/v2.0/.well-known/openid-configuration"),
        ):
            before = utc_now()
            try:
                with VerifiedSession(settings, cloud) as session:
                    answer = session.get(f"{origin}{path}")
            except (requests.RequestException, OSError) as error:
                source = f"ENTRA_SMS_{name.upper()}_URL" if cloud.name == DEFAULT else f"cloud {cloud.name}"
                yield _unreachable(f"microsoft.{name}", f"{title} cannot be reached at {origin} ({source})", error)
            else:
                yield _judge(f"microsoft.{name}", f"{title} at {origin}", answer)
                difference = difference or _clock(answer, before)
    if difference is not None:
        yield difference


def _unreachable(name: str, text: str, error: Exception) -> Finding:
    kind = network_trouble.kind(error)
    return trouble(name, f"{text}: {kind.value}.", ADVICE.get(kind, LET_OUT), Exit.UNREACHABLE)


def _judge(name: str, who: str, answer: requests.Response) -> Finding:
    if answer.status_code >= 500:
        text = f"{who} is in trouble: it answers {answer.status_code}."
        return trouble(name, text, "Try again in a while.", Exit.UNREACHABLE)
    return fine(name, f"{who} answers, and its certificate is trusted.")


def _clock(answer: requests.Response, before: datetime) -> Finding | None:
    """Compare with the Date of an answer, which leaves out what is below a second."""
    try:
        theirs = email.utils.parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except ValueError:
        return None
    ours = before + (utc_now() - before) / 2
    ahead_seconds = (ours - theirs).total_seconds() - 0.5
    return clock_difference.judge(
        "microsoft.clock", "Microsoft's", ahead_seconds, refused_seconds=clock_difference.REFUSED_SECONDS
    )
