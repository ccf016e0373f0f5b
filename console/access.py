"""The check of a tenant's access as it is shown: each permission with a tick or a cross, and what to do about it."""

from __future__ import annotations

import requests
from rich.padding import Padding
from rich.text import Text

from common.cloud import DEFAULT, Cloud
from common.config import Settings
from common.errors import AccessError, BadPageError, RetryLaterError
from common.graph.access import Proof, check_access
from common.graph.answers import GraphUnavailableError
from common.graph.client import GraphClient
from console import output
from console.exits import ConsoleError, Exit


def require_access(client: GraphClient, settings: Settings) -> None:
    """Check everything and show it.

    Raises:
        ConsoleError: something does not work; what and how to mend it has been shown or is the text.
    """
    try:
        proofs = check_access(client)
    except AccessError as error:
        _show(Proof("sign-in", error.reason))
        raise ConsoleError(str(error), Exit.ACCESS_REFUSED) from None
    except RetryLaterError as error:
        raise ConsoleError(f"{error} {where_to_look(error, settings, client.cloud)}", Exit.UNREACHABLE) from None
    _show(Proof("sign-in"))
    for proof in proofs:
        _show(proof)
    missing = [proof.permission for proof in proofs if not proof.works]
    if missing:
        them = "this permission" if len(missing) == 1 else "these permissions"
        raise ConsoleError(
            f"The application may not read everything it needs: it lacks {them}: {', '.join(missing)}. "
            "A consent that was given a moment ago can take a minute to work.",
            Exit.ACCESS_REFUSED,
        )


def _show(proof: Proof) -> None:
    output.note(Text.assemble("  ", output.tick(works=proof.works), " ", proof.permission))
    if proof.trouble and proof.permission != "sign-in":
        output.stderr().print(Padding(Text(proof.trouble), (0, 0, 0, 4), expand=False))


def where_to_look(error: RetryLaterError, settings: Settings, cloud: Cloud) -> str:
    """Return what may be wrong when Graph or the login service cannot be asked."""
    cause: BaseException | None = error.__context__
    if isinstance(cause, requests.exceptions.SSLError):
        trusted = f"the authorities in {settings.ca_bundle}" if settings.ca_bundle else "the public authorities"
        return (
            f"The certificate of {cloud.login_url} or {cloud.graph_url} is not signed by {trusted} "
            "(ENTRA_SMS_CA_BUNDLE)."
        )
    if isinstance(error, GraphUnavailableError | BadPageError):
        named = ("ENTRA_SMS_LOGIN_URL", "ENTRA_SMS_GRAPH_URL") if cloud.name == DEFAULT else (cloud.name,) * 2
        return f"The login service is {cloud.login_url} ({named[0]}), Graph is {cloud.graph_url} ({named[1]})."
    return "Try again in a while."
