"""The public address: it is asked from this machine what Graph asks from the internet before it makes a subscription.

Source: Microsoft Graph, change notifications, validation of the notification address.
"""

from __future__ import annotations

import http.client
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from common.clock import utc_now
from common.cloud import LOGIN_NAMES
from common.config import Settings
from common.graph.client import LIFECYCLE_PATH, NOTIFICATIONS_PATH
from console import network_trouble, output
from console.exits import Exit
from console.finding import Finding, fine, skipped, trouble, warning
from console.network_trouble import NetworkTrouble

ANSWER_SECONDS = 10.0
"""Graph waits so long for the answer."""
SLOW_SECONDS = 3.0
"""An address that is slower too often gets its notifications late, or not at all."""
CERTIFICATE_DAYS = 14
"""Whoever has fewer days left is reminded: what renews certificates by itself does so long before."""
LONGEST_ANSWER_BYTES = 4_096

OPEN_IT = (
    "Start the webhook and what stands in front of it, and open the port for everybody. If only this machine does not "
    "get there, Graph may all the same: its subscriptions tell."
)
ADVICE = {
    NetworkTrouble.UNKNOWN_NAME: "Make a public DNS record for it, or correct ENTRA_SMS_PUBLIC_URL.",
    NetworkTrouble.REFUSED: OPEN_IT,
    NetworkTrouble.SILENT: OPEN_IT,
    NetworkTrouble.CUT: OPEN_IT,
    NetworkTrouble.OTHER: OPEN_IT,
    NetworkTrouble.OTHER_NAME: "Get a certificate for the name in ENTRA_SMS_PUBLIC_URL.",
    NetworkTrouble.OUT_OF_DATE: "Renew it, and have the webhook or proxy read it anew.",
    NetworkTrouble.UNTRUSTED: "Graph wants one of a public authority, sent with the intermediate certificates.",
    NetworkTrouble.NO_TLS: "Graph wants https: give the webhook or the proxy a certificate, or correct the port.",
}


@dataclass(frozen=True)
class Answer:
    """What came back to one handshake, and after how many seconds."""

    status: int
    content_type: str
    location: str
    body: bytes
    seconds: float


def look(settings: Settings) -> Iterator[Finding]:
    """Yield what there is to say of the public address: its certificate, then each of the two that Graph calls."""
    if not settings.public_url:
        yield skipped("public_url.certificate", "There is none, so Graph calls nobody.")
        return
    try:
        yield _certificate(settings)
    except (OSError, http.client.HTTPException) as error:
        yield _unreachable("public_url.certificate", settings.public_url, error)
        return
    for name, path in (("notifications", NOTIFICATIONS_PATH), ("lifecycle", LIFECYCLE_PATH)):
        try:
            token = f"Validation: Testing client application reachability for subscription Request-Id: {uuid4()}"
            answer = _ask(settings, path, token)
        except (OSError, http.client.HTTPException) as error:
            yield _unreachable(f"public_url.{name}", f"{settings.public_url}{path}", error)
        else:
            yield judge(f"public_url.{name}", f"{settings.public_url}{path}", answer, token)


def judge(name: str, url: str, answer: Answer, token: str) -> Finding:
    """Judge an answer as Graph does: 200, plain text, the token and nothing else, in time."""
    wrong = _wrong(answer, token)
    if wrong is not None:
        said, advice = wrong
        return trouble(name, f"{url} {said}.", advice)
    if answer.seconds > SLOW_SECONDS:
        slow = f"{url} answers the handshake, but took {answer.seconds:.1f} s."
        return warning(name, slow, "An address that is slow too often gets its notifications late, or not at all.")
    return fine(name, f"{url} answers the handshake ({answer.seconds:.2f} s).")


def _wrong(answer: Answer, token: str) -> tuple[str, str] | None:
    """Return what is wrong with an answer and what to do, or None."""
    if answer.seconds > ANSWER_SECONDS:
        return f"took {answer.seconds:.0f} s, and Graph waits {ANSWER_SECONDS:g} s", "What holds it up?"
    if answer.location and 300 <= answer.status < 400:
        place = output.shown(answer.location)
        advice = "Graph follows none: set ENTRA_SMS_PUBLIC_URL to the address that answers itself."
        return f"answers with a redirect ({answer.status}) to {place}", advice
    if answer.status != http.client.OK:
        return f"answers {answer.status} to the handshake, not 200", _advice_for(answer.status)
    if answer.body != token.encode():
        advice = "Something else answers there, or a proxy changes the query string: docs/webhook.md."
        return "answers, but does not repeat the token unchanged", advice
    if answer.content_type.partition(";")[0].strip().lower() != "text/plain":
        advice = "Something in front of the webhook changes its answers: docs/webhook.md."
        return f"answers as {output.shown(answer.content_type)}, not as text/plain", advice
    return None


def _advice_for(status: int) -> str:
    match status:
        case 401 | 403 | 407:
            return "Let everybody in below this address: no login, no filter of senders, bodies or user agents."
        case 404 | 405:
            return "The address does not lead to the webhook: compare ENTRA_SMS_PUBLIC_URL and the proxy's routes."
        case 502 | 503 | 504:
            return "The proxy does not reach the webhook: is it running, and where the proxy looks for it?"
    return "See docs/webhook.md for what the webhook answers to what."


def _unreachable(name: str, url: str, error: Exception) -> Finding:
    kind = network_trouble.kind(error)
    return trouble(name, f"{url}: {kind.value}.", ADVICE[kind], Exit.UNREACHABLE)


def _certificate(settings: Settings) -> Finding:
    connection = _connection(settings)
    try:
        connection.connect()
        ends = dict(connection.sock.getpeercert() or {}).get("notAfter")
    finally:
        connection.close()
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(ends)), UTC)
    days = (ends_at - utc_now()).days
    text = f"Its certificate is trusted and is valid for {output.plural(days, 'more day', 'more days')}."
    name = "public_url.certificate"
    return fine(name, text) if days >= CERTIFICATE_DAYS else warning(name, text, ADVICE[NetworkTrouble.OUT_OF_DATE])


def _ask(settings: Settings, path: str, token: str) -> Answer:
    began = time.monotonic()
    connection = _connection(settings)
    target = f"{urlsplit(settings.public_url).path}{path}?{urlencode({'validationToken': token})}"
    try:
        connection.request("POST", target, headers={"Content-Type": "text/plain; charset=utf-8", "Content-Length": "0"})
        response = connection.getresponse()
        body = b"" if response.status >= 300 else response.read(LONGEST_ANSWER_BYTES)
        return Answer(
            status=response.status,
            content_type=response.headers.get("Content-Type", ""),
            location=response.headers.get("Location", ""),
            body=body,
            seconds=time.monotonic() - began,
        )
    finally:
        connection.close()


def _connection(settings: Settings) -> http.client.HTTPSConnection:
    """A connection to the public address that trusts whom Graph trusts, and takes no detour over a proxy.

    Microsoft trusts public authorities only. A simulated Graph has its own, and so may the webhook then.
    """
    is_microsoft = any(urlsplit(settings.login_url).hostname in names for names in LOGIN_NAMES)
    trusted = settings.ca_bundle if settings.ca_bundle and not is_microsoft else DEFAULT_CA_BUNDLE_PATH
    address = urlsplit(settings.public_url)
    context = ssl.create_default_context(cafile=trusted)
    return http.client.HTTPSConnection(
        address.hostname or "", address.port or 443, timeout=ANSWER_SECONDS, context=context
    )
