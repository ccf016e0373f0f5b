"""What a command is connected to: settings, database, broker, Graph. Each is opened when it is first needed.

The libraries of Graph, of the broker and of migrations are loaded no sooner either: most commands only read the book.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from common import logging
from common.cloud import Cloud
from common.config import Settings, load
from common.db.engine import Database
from common.db.revisions import is_up_to_date
from common.db.tenants import Tenant
from common.errors import BrokerUnavailableError, DatabaseUnavailableError
from common.graph.credentials import Credentials
from common.secrets import Vault
from console import addresses
from console.reads import letters

if TYPE_CHECKING:
    from common.broker.outgoing import Outgoing
    from common.broker.publisher import Publisher
    from common.graph.client import GraphClient

PUBLISH_SECONDS = 3.0
PUBLISH_ALL_SECONDS = 30.0


class Installation:
    """The installation that the settings describe; opens nothing by itself."""

    def __init__(self, *, verbose: bool = False) -> None:
        self._verbose = verbose

    @cached_property
    def settings(self) -> Settings:
        return self._with_log(load())

    def settle_for(self, settings: Settings) -> None:
        """Work with `settings`, where some of those in the environment cannot be used."""
        vars(self)["settings"] = self._with_log(settings)

    @cached_property
    def database(self) -> Database:
        """The database, brought up to date.

        Raises:
            DatabaseUnavailableError: it cannot be reached.
            SettingsError: its address is wrong, or a newer version of this program has changed it.
        """
        try:
            database = Database.from_settings(self.settings)
            letters.teach(database)
            if not is_up_to_date(database):
                from common.db.migrations import upgrade_database  # noqa: PLC0415 - loads Alembic

                upgrade_database(database)
        except DatabaseUnavailableError as error:
            place = addresses.without_password(self.settings.database_url.get_secret_value())
            raise DatabaseUnavailableError(
                f"{str(error).rstrip('.')}. The database is {place} (ENTRA_SMS_DATABASE_URL)."
            ) from None
        return database

    @cached_property
    def vault(self) -> Vault:
        return Vault(self.settings)

    def publish(self, message: Outgoing) -> None:
        """Put `message` on its queue and wait for the confirm.

        Raises:
            BrokerUnavailableError: it is not known to have arrived; the text says where the broker was looked for.
        """
        try:
            self._publisher.publish(message, timeout_seconds=PUBLISH_SECONDS)
        except BrokerUnavailableError as error:
            raise BrokerUnavailableError(f"{error} {self.broker_place}") from None

    def publish_all(self, messages: Sequence[Outgoing]) -> None:
        """Put many messages on their queues and wait for all confirms.

        Raises:
            BrokerUnavailableError: as for `publish`; some of them may have arrived.
        """
        try:
            self._publisher.publish_all(messages, timeout_seconds=PUBLISH_ALL_SECONDS)
        except BrokerUnavailableError as error:
            raise BrokerUnavailableError(f"{error} {self.broker_place}") from None

    @property
    def broker_place(self) -> str:
        place = addresses.without_password(self.settings.amqp_url.get_secret_value())
        return f"It was looked for at {place} (ENTRA_SMS_AMQP_URL)."

    def graph(self, credentials: Credentials, cloud: Cloud, *, also: Sequence[str] = ()) -> GraphClient:
        from common.graph.client import GraphClient  # noqa: PLC0415 - loads MSAL and requests
        from common.graph.http import GraphHttp, VerifiedSession  # noqa: PLC0415 - the same

        return GraphClient(credentials, GraphHttp(VerifiedSession(self.settings, cloud)), also=also)

    def graph_of(self, tenant: Tenant) -> GraphClient:
        """Return Graph as `tenant`, reading of users what its scope needs as well.

        Raises:
            SettingsError: the server key does not open the stored credential, or the settings do not know its cloud.
        """
        cloud = self.settings.cloud(tenant.cloud)
        return self.graph(tenant.credentials(self.vault), cloud, also=tenant.scope.properties)

    def close(self) -> None:
        """Close what was opened."""
        opened = vars(self)
        if "_publisher" in opened:
            self._publisher.close()
        if "database" in opened:
            self.database.close()

    def _with_log(self, settings: Settings) -> Settings:
        quiet = {} if self._verbose else {"log_level": "error"}
        logging.configure(settings.model_copy(update={"log_format": "text", **quiet}), "console")
        return settings

    @cached_property
    def _publisher(self) -> Publisher:
        from common.broker.publisher import Publisher  # noqa: PLC0415 - loads pika

        return Publisher(self.settings, "console")
