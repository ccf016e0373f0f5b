"""The reconciler: holds the subscriptions that should be against those that are.

Two a tenant (users, groups), renewed long before half of their life is over, made anew when they are gone or were made
with another address or key. Without a public address there are none, and the system runs by polling alone.

Whatever is made with the server key is renewed here: the stored credential too is sealed anew when the key changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.engine import RowMapping

from common import logging
from common.broker import outgoing
from common.broker.publisher import Publisher
from common.client_state import ClientStates
from common.clock import utc_now
from common.config import Settings
from common.db import tenants as tenant_rows
from common.db.engine import Database
from common.db.tables import streams, subscriptions, tenants
from common.db.tenants import Tenant, TenantState
from common.errors import AccessError, EntraSmsError, RetryLaterError, SettingsError
from common.graph.answers import (
    GraphConflictError,
    GraphNotFoundError,
    GraphRefusedError,
    PermissionMissingError,
    TokenNotAcceptedError,
)
from common.graph.client import GraphClient, Subscription
from common.messages import Reason, Stream, SyncRequest
from common.secrets import Vault
from worker import access, ledger
from worker.access import prove_access
from worker.clients import Clients
from worker.ledger import Part

AFTER_TROUBLE = timedelta(seconds=15)
WITHOUT_PUBLIC_URL = timedelta(hours=6)
WITHOUT_SUBSCRIPTIONS = "ENTRA_SMS_PUBLIC_URL is not set: there are no subscriptions, changes are found by polling."

log = logging.get("subscriptions")


class _TenantStoppedError(EntraSmsError):
    """The tenant was paused or removed while its subscriptions were looked at."""


class Reconciler:
    """Makes the subscriptions of one tenant right; claims are made by `worker.schedule`."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher, clients: Clients) -> None:
        self._settings = settings
        self._database = database
        self._publisher = publisher
        self._clients = clients
        self._client_states = ClientStates.from_settings(settings)
        self._vault = Vault(settings)

    def reconcile(self, tenant_id: str) -> None:
        """Look at the subscriptions once, and note when to look again.

        Raises:
            DatabaseUnavailableError: it could not be noted; whatever else goes wrong is.
        """
        if (tenant := self._proven(tenant_id)) is None:
            return
        with self._database.read() as connection:
            asked = ledger.waiting(connection, tenant_id, Part.SUBSCRIPTIONS)
        try:
            self._seal_anew(tenant)
            again_in, trouble = self._again_in(tenant), None
        except PermissionMissingError as error:
            # To subscribe takes more than to read, and has a quota: the reading goes on, by polling.
            log.warning("subscriptions_denied", tenant=tenant_id, error=str(error))
            again_in, trouble = access.SLOW_POLL, str(error)
        except TokenNotAcceptedError as error:
            # It happens to valid tokens; whether it is more than that is told by the rounds.
            log.warning("subscriptions_troubled", tenant=tenant_id, error=str(error))
            again_in, trouble = AFTER_TROUBLE, str(error)
        except (AccessError, SettingsError) as error:
            access.note_failed(self._database, tenant, error)
            again_in, trouble = access.SLOW_POLL, str(error)
        except _TenantStoppedError:
            log.info("reconciliation_stopped", tenant=tenant_id)
            return  # whoever paused it has asked for the next look
        except EntraSmsError as error:
            log.warning("subscriptions_troubled", tenant=tenant_id, error=str(error))
            again_in, trouble = _patience(error), str(error)
        with self._database.write() as connection:
            now = self._database.now(connection)
            self._answer(connection, tenant, asked, trouble, now)
            mine = tenants.c.tenant_id == tenant_id
            connection.execute(update(tenants).where(mine).values(subscription_trouble=trouble))
            # Who moved the time meanwhile wants another look: what changed since this one began.
            unmoved = tenants.c.reconcile_at == tenant.reconcile_at
            connection.execute(update(tenants).where(mine, unmoved).values(reconcile_at=now + again_in))

    def _proven(self, tenant_id: str) -> Tenant | None:
        """Return the tenant, with its access proven first if a command asks for that; None if it is gone."""
        with self._database.read() as connection:
            tenant = tenant_rows.get(connection, tenant_id)
            asked = ledger.waiting(connection, tenant_id, Part.ACCESS)
        if tenant is None or not asked:
            return tenant
        prove_access(self._database, self._clients.of, tenant, asked)
        with self._database.read() as connection:
            return tenant_rows.get(connection, tenant_id)

    def _answer(
        self, connection: Connection, tenant: Tenant, asked: Sequence[str], trouble: str | None, now: datetime
    ) -> None:
        """Answer those who asked for a renewal."""
        table = subscriptions.c
        alive = select(table.stream, table.expires_at).where(
            table.tenant_id == tenant.tenant_id, table.expires_at > now
        )
        said = [f"{row.stream} until {row.expires_at:%Y-%m-%d %H:%M} UTC" for row in connection.execute(alive)]
        note = f"Subscriptions: {', '.join(sorted(said, reverse=True)) or 'none'}."
        error = trouble or (tenant.state_reason if tenant.state is TenantState.ACCESS_FAILED else None)
        if not self._settings.public_url:
            error = WITHOUT_SUBSCRIPTIONS
        ledger.answer(connection, asked, tenant.tenant_id, Part.SUBSCRIPTIONS, now, error=error, note=note)

    def _again_in(self, tenant: Tenant) -> timedelta:
        if tenant.state is TenantState.PAUSED:
            self._delete_all(tenant)
            return WITHOUT_PUBLIC_URL
        if not self._settings.public_url:
            return WITHOUT_PUBLIC_URL
        if tenant.state is not TenantState.ACTIVE:
            return access.SLOW_POLL
        client = self._clients.of(tenant)
        actual = {one.subscription_id: one for one in client.subscriptions()}
        for stream in Stream:
            self._make_right(tenant, client, stream, actual)
        self._delete_strays(tenant, client, actual)
        return self._until_renewal(tenant)

    def _delete_all(self, tenant: Tenant) -> None:
        """Let the subscriptions of a paused tenant go: what they would notify of is not read."""
        mine = subscriptions.c.tenant_id == tenant.tenant_id
        with self._database.read() as connection:
            known = list(connection.scalars(select(subscriptions.c.subscription_id).where(mine)))
        for subscription_id in known:
            _delete(self._clients.of(tenant), subscription_id)
            with self._database.write() as connection:
                this = subscriptions.c.subscription_id == subscription_id
                connection.execute(delete(subscriptions).where(mine, this))
            log.info("subscription_deleted", tenant=tenant.tenant_id, subscription=subscription_id)
        if self._settings.public_url:
            client = self._clients.of(tenant)
            self._delete_strays(tenant, client, {one.subscription_id: one for one in client.subscriptions()})

    def _seal_anew(self, tenant: Tenant) -> None:
        """Seal the credential with the current server key, so that the previous one can go."""
        sealed = self._vault.sealed_anew(tenant.sealed_credential)
        if sealed == tenant.sealed_credential:
            return
        with self._database.write() as connection:
            mine = (tenants.c.tenant_id == tenant.tenant_id, tenants.c.credential == tenant.sealed_credential)
            connection.execute(update(tenants).where(*mine).values(credential=sealed))
        log.info("credential_sealed_anew", tenant=tenant.tenant_id)

    def _until_renewal(self, tenant: Tenant) -> timedelta:
        """Return when to look again: in any case when the next renewal is due, and to see whether Graph has them."""
        rows = [row for stream in Stream if (row := self._row(tenant, stream)) is not None]
        due_in = min((row["renew_at"] for row in rows), default=utc_now()) - utc_now()
        check_in = timedelta(seconds=self._settings.subscription_check_seconds)
        return min(check_in, max(due_in, AFTER_TROUBLE))

    def _make_right(self, tenant: Tenant, client: GraphClient, stream: Stream, actual: dict[str, Subscription]) -> None:
        row = self._row(tenant, stream)
        if row is None or row["subscription_id"] not in actual:
            self._create(tenant, client, stream)
            return
        if (
            row["public_url"] != self._settings.public_url
            or row["key_fingerprint"] != self._client_states.key_fingerprint
        ):
            _delete(client, row["subscription_id"])
            self._create(tenant, client, stream)
            return
        if row["renew_at"] <= utc_now():
            self._renew(tenant, client, stream, row["subscription_id"])

    def _create(self, tenant: Tenant, client: GraphClient, stream: Stream) -> None:
        """Create the subscription; what happened while there was none is read by a round."""
        try:
            made = self._post(tenant, client, stream)
        except GraphConflictError as conflict:
            # Left by a crash between creating and noting it, or by an earlier key: its clientState is not known, so
            # it cannot be adopted.
            for stale in [conflict.existing_id] if conflict.existing_id else _same_resource(client, stream):
                _delete(client, stale)
            made = self._post(tenant, client, stream)
        if not self._save_new(tenant, stream, made):
            _delete(client, made.subscription_id)
            raise _TenantStoppedError("The tenant was paused or removed meanwhile.")
        log.info("subscription_created", tenant=tenant.tenant_id, stream=stream, expires_at=made.expires_at.isoformat())
        request = SyncRequest(tenant.tenant_id, stream, Reason.SUBSCRIPTION_GAP, utc_now())
        self._publisher.publish(outgoing.request(request), timeout_seconds=10.0)

    def _post(self, tenant: Tenant, client: GraphClient, stream: Stream) -> Subscription:
        try:
            return client.create_subscription(
                stream,
                public_url=self._settings.public_url,
                client_state=self._client_states.make(tenant.tenant_id, stream),
                expires_at=self._expiry(),
            )
        except GraphRefusedError as error:
            raise RetryLaterError(
                f"Graph makes no subscription for {self._settings.public_url}: {error} The webhook must be reachable "
                "there from the internet, with a certificate that Graph trusts, and answer within 10 s. "
                "Until then the address book is kept up to date by polling."
            ) from error

    def _renew(self, tenant: Tenant, client: GraphClient, stream: Stream, subscription_id: str) -> None:
        try:
            renewed = client.renew_subscription(subscription_id, self._expiry())
        except GraphNotFoundError:
            self._create(tenant, client, stream)
            return
        self._save_renewed(tenant, stream, renewed)
        log.info("subscription_renewed", tenant=tenant.tenant_id, stream=stream)

    def _expiry(self) -> datetime:
        return utc_now() + timedelta(hours=self._settings.subscription_hours)

    def _save_new(self, tenant: Tenant, stream: Stream, made: Subscription) -> bool:
        """Store a subscription in the place of the one before; False: the tenant is not to have any, nothing is stored.

        Somebody may have paused or removed it while Graph was asked, and would not see what is stored afterwards.
        """
        mine = (subscriptions.c.tenant_id == tenant.tenant_id, subscriptions.c.stream == stream)
        row = {
            "tenant_id": tenant.tenant_id,
            "stream": stream,
            "public_url": self._settings.public_url,
            "key_fingerprint": self._client_states.key_fingerprint,
            "created_at": utc_now(),
        }
        with self._database.write() as connection:
            state = select(tenants.c.state).where(tenants.c.tenant_id == tenant.tenant_id)
            if connection.scalar(state.with_for_update(key_share=True)) in (None, TenantState.PAUSED):
                return False
            connection.execute(delete(subscriptions).where(*mine))
            connection.execute(subscriptions.insert().values(**row, **_times_of(made)))
            self._poll_soon(connection, tenant, stream)
            return True

    def _save_renewed(self, tenant: Tenant, stream: Stream, renewed: Subscription) -> None:
        mine = (subscriptions.c.tenant_id == tenant.tenant_id, subscriptions.c.stream == stream)
        with self._database.write() as connection:
            connection.execute(update(subscriptions).where(*mine).values(_times_of(renewed)))

    def _poll_soon(self, connection: Connection, tenant: Tenant, stream: Stream) -> None:
        """Read the gap by the poll, should the request for it be lost with this process or the broker."""
        soon = self._database.now(connection) + AFTER_TROUBLE
        mine = (streams.c.tenant_id == tenant.tenant_id, streams.c.stream == stream, streams.c.next_poll_at > soon)
        connection.execute(update(streams).where(*mine).values(next_poll_at=soon))

    def _delete_strays(self, tenant: Tenant, client: GraphClient, actual: dict[str, Subscription]) -> None:
        """Delete subscriptions that call this installation but that it does not know: nobody can prove them."""
        with self._database.read() as connection:
            mine = subscriptions.c.tenant_id == tenant.tenant_id
            known = set(connection.scalars(select(subscriptions.c.subscription_id).where(mine)))
        for one in actual.values():
            if one.subscription_id not in known and one.notification_url.startswith(f"{self._settings.public_url}/"):
                _delete(client, one.subscription_id)
                log.info("subscription_deleted", tenant=tenant.tenant_id, subscription=one.subscription_id)

    def _row(self, tenant: Tenant, stream: Stream) -> RowMapping | None:
        mine = (subscriptions.c.tenant_id == tenant.tenant_id, subscriptions.c.stream == stream)
        with self._database.read() as connection:
            return connection.execute(select(subscriptions).where(*mine)).mappings().one_or_none()


def _times_of(found: Subscription) -> dict[str, object]:
    """Return what is stored of what Graph answered, not of what was asked for: it moves expiries as it likes."""
    now = utc_now()
    return {
        "subscription_id": found.subscription_id,
        "expires_at": found.expires_at,
        "renewed_at": now,
        "renew_at": now + (found.expires_at - now) / 2,
    }


def _patience(error: EntraSmsError) -> timedelta:
    """Return how long to leave Graph alone after `error`: never shorter than it asked for."""
    asked_seconds = error.delay_seconds if isinstance(error, RetryLaterError) else None
    return max(AFTER_TROUBLE, timedelta(seconds=asked_seconds or 0.0))


def _delete(client: GraphClient, subscription_id: str) -> None:
    try:
        client.delete_subscription(subscription_id)
    except GraphNotFoundError:
        return  # gone is what was wanted


def _same_resource(client: GraphClient, stream: Stream) -> Sequence[str]:
    return [one.subscription_id for one in client.subscriptions() if one.resource == stream]
