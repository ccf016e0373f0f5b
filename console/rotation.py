"""A tenant gets a new credential: it is proven first, patiently, and the old one is used until it is.

Entra's servers learn of a new secret or certificate one after the other, within a minute or two: until then those that
do not know it refuse it as if it were wrong.
"""

from __future__ import annotations

import time
from datetime import datetime

from common.cloud import Cloud
from common.db import tenants
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError, RetryLaterError
from common.graph.credentials import Credential, Credentials
from console import enrolment, expiry, output
from console.choice import typed
from console.connection import Installation
from console.exits import ConsoleError, Exit

NOT_YET = frozenset({"AADSTS7000215", "AADSTS700027"})
"""How Entra refuses a secret and a certificate that it does not know: wrong, or too new."""
PROOFS = 3
"""So many sign-ins in a row have to work: each may be answered by another server."""
PAUSE_SECONDS = 2.0


def replace(
    installation: Installation, tenant: Tenant, new: Credential, expires_at: datetime | None, *, patience_seconds: float
) -> None:
    """Prove `new`, save it in place of the old credential, and tell the worker.

    Raises:
        ConsoleError: it does not work; nothing was changed.
    """
    credentials = Credentials(tenant.tenant_id, tenant.client_id, new)
    cloud = installation.settings.cloud(tenant.cloud)
    try:
        _await_sign_in(installation, credentials, cloud, patience_seconds)
        enrolment.check(installation, credentials, cloud, tenant.name)
    except ConsoleError as error:
        raise ConsoleError(f"{error} Nothing was changed: the old credential stays in use.", error.code) from None
    old = expiry.credential_of(installation, tenant)
    sealed = tenants.seal_credential(installation.vault, new)
    with installation.database.write() as connection:
        now = installation.database.now(connection)
        if not tenants.change_credential(connection, tenant.tenant_id, sealed, new.expires_at or expires_at, now):
            raise ConsoleError(f"{output.shown(tenant.name)} was removed meanwhile.")
    output.say(f"{output.shown(tenant.name)} signs in with its new {new.shown} from now on.")
    if old is not None and old != new:
        output.say(f"The former {old.shown} is not used any more: delete it in Entra, under Certificates & secrets.")
    if new.expires_at is None and expires_at is None:
        output.say(f"When it expires is not known: entra-sms tenants credential {typed(tenant)} --expires YYYY-MM-DD")
    if tenant.state is not TenantState.PAUSED and enrolment.nudge(installation, tenant.tenant_id):
        output.say("The worker was told.")


def note_expiry(installation: Installation, tenant: Tenant, expires_at: datetime) -> None:
    """Note when the secret that is in use expires.

    Raises:
        ConsoleError: it is a certificate, which tells that by itself.
    """
    if tenant.credentials(installation.vault).credential.expires_at is not None:
        raise ConsoleError("A certificate is in use, and tells by itself when it expires.", Exit.USAGE)
    with installation.database.write() as connection:
        tenants.note_expiry(connection, tenant.tenant_id, expires_at)
    output.say(f"Noted: the client secret of {output.shown(tenant.name)} expires on {expires_at.date().isoformat()}.")


def _await_sign_in(installation: Installation, credentials: Credentials, cloud: Cloud, patience_seconds: float) -> None:
    """Wait until several sign-ins in a row have worked."""
    began, told, proofs = time.monotonic(), False, 0
    while proofs < PROOFS:
        try:
            installation.graph(credentials, cloud).shown_permissions()
            proofs += 1
            continue
        except RetryLaterError:
            return  # the check that follows says what it is
        except AccessError as error:
            if error.code not in NOT_YET or time.monotonic() - began + PAUSE_SECONDS > patience_seconds:
                return  # the same
            if not told:
                output.note(
                    f"Entra does not know the new {credentials.credential.kind} [{error.code}], which is normal in the "
                    f"first minutes. It is tried again for {patience_seconds:g} s; the old one stays in use. "
                    "Ctrl-C ends this and changes nothing."
                )
            told, proofs = True, 0
        time.sleep(PAUSE_SECONDS)
    if told:
        output.note(f"Entra knows it, after {time.monotonic() - began:.0f} s.")
