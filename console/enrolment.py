"""A tenant is saved: its access is checked first, and the worker is told afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from rich.text import Text

from common.broker import outgoing
from common.clock import utc_now
from common.cloud import DEFAULT, Cloud
from common.db import tenants
from common.db.tenants import Agreement, Tenant, TenantState
from common.errors import BrokerUnavailableError
from common.graph.answers import GraphNotFoundError
from common.graph.client import GraphClient
from common.graph.credentials import ClientCertificate, ClientSecret, Credential, Credentials
from common.messages import Reason, Stream, SyncRequest
from common.scope import Scope
from console import output
from console.access import require_access
from console.choice import typed
from console.connection import Installation
from console.exits import ConsoleError, Exit
from console.tenant_form import given_recipient_rule, given_removal_limit, moment_of, stored_values


def enrol(
    installation: Installation,
    given: dict[str, str],
    certificate: ClientCertificate | None,
    stored: Tenant | None,
    scope: Scope | None,
) -> None:
    """Check the access with what was given, and what is stored where nothing was given; then save it.

    Raises:
        ConsoleError: the access does not work, another tenant has the name, or a group of the scope is not there;
            nothing was saved.
    """
    values = ({} if stored is None else stored_values(stored)) | given
    _refuse_mix_ups(installation, values)
    cloud = installation.settings.cloud(values.get("cloud"))
    new = certificate or (ClientSecret(given["client_secret"]) if "client_secret" in given else None)
    credential = new or _stored_credential(installation, stored, given)
    credentials = Credentials(values["tenant_id"], values["client_id"], credential)
    try:
        check(installation, credentials, cloud, values["name"])
        _refuse_unknown_groups(installation.graph(credentials, cloud), scope)
    except ConsoleError as error:
        outcome = "Nothing was saved." if stored is None else "Nothing was changed."
        raise ConsoleError(f"{error} {outcome}", error.code) from None
    is_changed = new is not None or "expires" in given
    with installation.database.write() as connection:
        is_new = tenants.save(
            connection,
            tenant_id=values["tenant_id"],
            name=values["name"],
            domain=values.get("domain"),
            client_id=values["client_id"],
            sealed_credential=tenants.seal_credential(installation.vault, credential) if is_changed else None,
            credential_expires_at=credential.expires_at or moment_of(given.get("expires")),
            cloud=None if cloud.name == DEFAULT else cloud.name,
            default_region=values.get("default_region"),
            agreement=Agreement(values["agreement_reference"], date.fromisoformat(values["agreement_date"])),
            removal_limit=given_removal_limit(given, stored),
            recipient_rule=given_recipient_rule(given, stored),
            scope=scope,
            now=installation.database.now(connection),
        )
    output.say(f"{'Added' if is_new else 'Updated'} {values['name']}.")
    if stored is not None and stored.state is TenantState.PAUSED:
        output.say(f"It stays paused. To go on: entra-sms tenants resume {typed(stored)}")
    elif nudge(installation, values["tenant_id"]):
        beginning = "The first sync begins now." if is_new else "The new settings are used from now on."
        output.say(f"{beginning} Watch it with: entra-sms status")


def _refuse_unknown_groups(client: GraphClient, scope: Scope | None) -> None:
    for group_id in scope.group_ids if scope is not None else ():
        try:
            client.get(Stream.GROUPS, group_id)
        except GraphNotFoundError:
            raise ConsoleError(f"The directory has no group {group_id}.", Exit.USAGE) from None


def _stored_credential(installation: Installation, stored: Tenant | None, given: Mapping[str, str]) -> Credential:
    if stored is None:
        raise ConsoleError("There is neither a client secret nor a certificate.", Exit.USAGE)
    credential = stored.credentials(installation.vault).credential
    if credential.expires_at is not None and "expires" in given:
        raise ConsoleError("A certificate is in use, and tells by itself when it expires.", Exit.USAGE)
    return credential


def check(installation: Installation, credentials: Credentials, cloud: Cloud, name: str) -> None:
    """Check the access of a tenant and show it.

    Raises:
        ConsoleError: something does not work.
    """
    output.note(Text.assemble(f"Access to {output.shown(name)} at {cloud.graph_url}:"))
    require_access(installation.graph(credentials, cloud), installation.settings)


def nudge(installation: Installation, tenant_id: str) -> bool:
    """Ask the worker for a round of both streams now; tell whether it was told.

    Where that cannot be, the streams are due as soon as it can: of a tenant whose access had failed they are not soon.
    """
    try:
        for stream in Stream:
            request = SyncRequest(tenant_id, stream, Reason.OPERATOR, utc_now())
            installation.publish(outgoing.request(request))
    except BrokerUnavailableError as error:
        with installation.database.write() as connection:
            tenants.make_due(connection, tenant_id, installation.database.now(connection))
        output.warn(f"{error} So no worker could be told: the sync begins when the worker is connected again.")
        return False
    return True


def _refuse_mix_ups(installation: Installation, values: Mapping[str, str]) -> None:
    if values["client_id"] == values["tenant_id"]:
        raise ConsoleError("The client id and the tenant id are the same; one of them was copied twice.", Exit.USAGE)
    with installation.database.read() as connection:
        for taken in (values["name"], values.get("domain")):
            others = [
                other
                for other in (tenants.find(connection, taken) if taken else [])
                if other.tenant_id != values["tenant_id"]
            ]
            if others:
                raise ConsoleError(
                    f"{taken!r} is taken: the tenant {others[0].tenant_id} is called so. Choose another name, so that "
                    "--tenant can tell them apart.",
                    Exit.USAGE,
                )
