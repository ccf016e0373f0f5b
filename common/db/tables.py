"""All tables. Directory data enters them by `worker.apply_users` and `worker.apply_groups` alone; everybody else reads.

Every row belongs to a tenant and is keyed by the directory's object id: names are not unique, ids are.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Date,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    false,
    text,
    true,
)
from sqlalchemy.dialects import postgresql

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Guid = String(36).with_variant(postgresql.UUID(as_uuid=False), "postgresql")
"""A GUID as lower-case text with dashes; PostgreSQL keeps it in 16 bytes."""


class Moment(TypeDecorator[datetime]):
    """A time: aware and in UTC in Python, `timestamptz` in PostgreSQL, UTC text in SQLite."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)
        return moment


Sequence = BigInteger().with_variant(Integer, "sqlite")
"""A growing number; SQLite counts only INTEGER primary keys by itself."""


def _tenant() -> Column[str]:
    return Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), primary_key=True)


tenants = Table(
    "tenants",
    metadata,
    Column("tenant_id", Guid, primary_key=True),
    Column("name", Text, nullable=False),
    Column("domain", Text),
    Column("client_id", Text, nullable=False),
    Column("credential", Text, nullable=False, comment="sealed by common.secrets.Vault"),
    Column(
        "credential_expires_at", Moment, comment="as told by the certificate, an operator or a failure; null: unknown"
    ),
    Column("expiry_told_days", Integer, comment="the warning that was given last: so many days before; null: none yet"),
    Column("cloud", Text, comment="a national cloud of Microsoft; null: the one of the settings"),
    Column("default_region", Text, comment="ISO 3166-1 alpha-2, for people without a usageLocation"),
    Column("agreement_reference", Text, nullable=False),
    Column("agreement_date", Date, nullable=False),
    Column("state", Text, nullable=False, comment="active | paused | access_failed"),
    Column("state_code", Text),
    Column("state_reason", Text),
    Column("state_since", Moment, nullable=False),
    Column("throttled_until", Moment, comment="Graph asked to be left alone until then"),
    Column("reconcile_at", Moment, nullable=False, comment="when the subscriptions are looked at next"),
    Column("subscription_trouble", Text, comment="why there are no working subscriptions; polling goes on"),
    Column("removal_limit_count", Integer, comment="so many may leave in a day unasked; null: the usual limit"),
    Column("removal_limit_percent", Integer, comment="or so much of the book; null: the usual limit"),
    Column(
        "disabled_are_recipients",
        Boolean,
        nullable=False,
        server_default=false(),
        comment="people whose account is disabled",
    ),
    Column("guests_are_recipients", Boolean, nullable=False, server_default=true()),
    Column("scope_groups", JSON, comment="ids of groups: only people in them belong in the book; null: no matter"),
    Column("scope_condition", Text, comment="what people in the book have, see common.scope; null: no matter"),
    Column("created_at", Moment, nullable=False),
)

streams = Table(
    "streams",
    metadata,
    _tenant(),
    Column("stream", Text, primary_key=True, comment="users | groups"),
    Column("delta_link", Text, comment="the live cursor; null until the first full round has ended"),
    Column("next_link", Text, comment="next page of the incremental round under way; null: none is under way"),
    Column("fingerprint", Text, comment="of the select list and mapping that the cursor was made with"),
    Column("generation", Integer, nullable=False, default=0, comment="number of the latest full round"),
    Column("lease_holder", Text),
    Column("lease_fence", Integer, nullable=False, default=0, comment="grows with every lease; fences off old holders"),
    Column("lease_until", Moment),
    Column("wanted_at", Moment, comment="latest request that came while another worker held the lease"),
    Column("waiting_request_ids", JSON, nullable=False, default=list, comment="commands the next round answers"),
    Column("next_poll_at", Moment, nullable=False),
    Column("last_began_at", Moment, comment="when the latest round that ended well began"),
    Column("last_good_at", Moment, comment="when a round last ended well"),
    Column("last_change_at", Moment, comment="when what Graph had notified of was last committed"),
    Column("last_change_lag_seconds", Float, comment="from that notification to the commit"),
    Column("failures", Integer, nullable=False, default=0, comment="rounds that failed since the last good one"),
    Column("last_error", Text),
    Column("full_wanted_at", Moment, comment="a full round is asked for"),
    Column("full_wanted_reason", Text),
    Column("full_wanted_request_ids", JSON, nullable=False, default=list, comment="commands that it will answer"),
    Column("full_began_at", Moment, comment="a full round is under way"),
    Column("full_reason", Text),
    Column("full_link", Text, comment="its next page; null: from the first"),
    Column("full_pages", Integer, nullable=False, default=0),
    Column("full_objects", Integer, nullable=False, default=0),
    Column("full_added", Integer, nullable=False, default=0),
    Column("full_changed", Integer, nullable=False, default=0),
    Column("full_removed", Integer, nullable=False, default=0),
    Column("full_request_ids", JSON, nullable=False, default=list, comment="commands that the full round answers"),
    Column("last_full_began_at", Moment, comment="when that began: it answers what was asked before"),
    Column("last_full_at", Moment, comment="when the latest full round ended"),
    Column("hold_id", Sequence, comment="removals wait for a decision; null: nothing is held"),
)

contacts = Table(
    "contacts",
    metadata,
    _tenant(),
    Column("object_id", Guid, primary_key=True),
    Column("display_name", Text),
    Column("given_name", Text),
    Column("surname", Text),
    Column("mail", Text),
    Column("user_principal_name", Text),
    Column("mobile_phone", Text, comment="as the directory holds it"),
    Column("business_phones", JSON, nullable=False, default=list, comment="as the directory holds them"),
    Column("usage_location", Text),
    Column("account_enabled", Boolean),
    Column("user_type", Text),
    Column("phone", Text, comment="E.164"),
    Column("phone_source", Text, comment="mobile | business"),
    Column("phone_state", Text, nullable=False, comment="ok | missing | invalid"),
    Column("generation", Integer, nullable=False, comment="of the full round that last saw it"),
    Index(None, "tenant_id", "phone"),
)

groups = Table(
    "groups",
    metadata,
    _tenant(),
    Column("object_id", Guid, primary_key=True),
    Column("display_name", Text),
    Column("mail", Text),
    Column("kind", Text, comment="microsoft365 | security | mail_security | distribution"),
    Column("generation", Integer, nullable=False),
)

memberships = Table(
    "memberships",
    metadata,
    _tenant(),
    Column("group_id", Guid, primary_key=True),
    Column("member_id", Guid, primary_key=True),
    Column("member_type", Text, nullable=False, comment="user | group | device | servicePrincipal | orgContact | …"),
    Column("generation", Integer, nullable=False),
    Index(None, "tenant_id", "member_id"),
    Index(
        "ix_memberships_nested",
        "tenant_id",
        "group_id",
        "member_id",
        postgresql_where=text("member_type = 'group'"),
        sqlite_where=text("member_type = 'group'"),
    ),
    # A full round marks every row as seen. With room beside it the mark needs no new entries in the indexes, and the
    # table ends smaller than without.
    postgresql_with={"fillfactor": 50},
)

scope_members = Table(
    "scope_members",
    metadata,
    _tenant(),
    Column("member_id", Guid, primary_key=True),
    comment="Whom the groups of the tenant's scope reach, as ids: as far as the people's stream has followed them.",
)

rechecks = Table(
    "rechecks",
    metadata,
    _tenant(),
    Column("stream", Text, primary_key=True),
    Column("object_id", Guid, primary_key=True),
    Column("what", Text, primary_key=True, comment="object | members | scope (of the tenant: the id is its)"),
    Column("due_at", Moment, nullable=False, comment="not read before: object reads lag behind delta, too"),
    comment="Objects of which a delta item said something ambiguous: they are read themselves.",
)

holds = Table(
    "holds",
    metadata,
    Column("hold_id", Sequence, primary_key=True, autoincrement=True),
    Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), nullable=False),
    Column("stream", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("mode", Text, nullable=False, comment="of the round that wanted to remove too many"),
    Column("reason", Text, nullable=False, comment="of that round"),
    Column("book_size", Integer, nullable=False, comment="contacts or groups in the book then"),
    Column("removal_limit", Integer, nullable=False, comment="so many could have gone in a day unasked"),
    Column("removed_before", Integer, nullable=False, comment="in the day before, within the limit"),
    Column("last_number", Integer, nullable=False, comment="of the latest removal that was held"),
    Column("decision", Text, comment="approve | reject; null: nobody has decided"),
    Column("decided_at", Moment),
    Column("decided_up_to", Integer, comment="the number of the last removal that was shown when it was approved"),
    Column("decision_request_id", Text, comment="the command that decided"),
    Column("ended_at", Moment, comment="null: it is open"),
    Column("outcome", Text, comment="approved | rejected | returned"),
    Index(None, "tenant_id", "stream"),
    comment="Removals that were too many to be made unasked, and what was decided.",
)

held_removals = Table(
    "held_removals",
    metadata,
    _tenant(),
    Column("stream", Text, primary_key=True),
    Column("object_id", Guid, primary_key=True),
    Column("number", Integer, nullable=False, comment="grows within a hold"),
    Column("noted_at", Moment, nullable=False),
    comment="Who would be removed if the open hold of the stream were approved.",
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _tenant(),
    Column("stream", Text, primary_key=True),
    Column("subscription_id", Guid, nullable=False),
    Column("public_url", Text, nullable=False),
    Column("key_fingerprint", Text, nullable=False, comment="of the server key its clientState was made with"),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("renewed_at", Moment, nullable=False),
    Column("renew_at", Moment, nullable=False),
)

rounds = Table(
    "rounds",
    metadata,
    Column("round_id", Sequence, primary_key=True, autoincrement=True),
    Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), nullable=False),
    Column("stream", Text, nullable=False),
    Column("mode", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("began_at", Moment, nullable=False),
    Column("ended_at", Moment, nullable=False),
    Column("outcome", Text, nullable=False, comment="ok | failed"),
    Column("error", Text),
    Column("pages", Integer, nullable=False),
    Column("objects", Integer, nullable=False),
    Column("added", Integer, nullable=False),
    Column("changed", Integer, nullable=False),
    Column("removed", Integer, nullable=False),
    Column("request_ids", JSON, nullable=False, comment="the commands that it answered"),
    Index(None, "tenant_id", "ended_at"),
    comment="History. Incremental rounds that changed nothing and answered nobody are not kept.",
)

changes = Table(
    "changes",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), nullable=False),
    Column("at", Moment, nullable=False),
    Column("kind", Text, nullable=False, comment="contact.added, group.changed, membership.removed, …"),
    Column("object_id", Guid, nullable=False),
    Column("member_id", Guid, comment="of a membership change"),
    Column("fields", JSON, comment="which columns changed; never their values"),
    Column("reason", Text, nullable=False),
    Column("unpublished", Boolean, comment="true: still to be told to consumers; null: nothing to do"),
    Index(None, "tenant_id", "object_id"),
    Index(None, "tenant_id", "kind", "at"),
    comment="Append-only feed of what happened to which id; no personal values. Also the outbox of events.",
)
UNPUBLISHED = changes.c.unpublished.is_not(None)
"""Rows that wait to be told, by a mark each: rows become visible in another order than that of their numbers."""
Index(
    "ix_changes_unpublished",
    changes.c.tenant_id,
    changes.c.sequence,
    postgresql_where=UNPUBLISHED,
    sqlite_where=UNPUBLISHED,
)

duties = Table(
    "duties",
    metadata,
    Column("duty", Text, primary_key=True, comment="feed"),
    Column("holder", Text, nullable=False),
    Column("held_until", Moment, nullable=False),
    comment="What one worker at a time does for all; whoever dies over it is followed by another.",
)

commands = Table(
    "commands",
    metadata,
    Column("command_id", Text, primary_key=True, comment="its message id, or one that was given to it"),
    Column("digest", Text, nullable=False, comment="of its body: tells a command without message id that comes again"),
    Column("received_at", Moment, nullable=False),
    Column("asked", JSON, nullable=False, comment="the command as it was understood; empty: not at all"),
    Column("asked_by", Text, comment="who asked, if the message says so"),
    Column("problem", Text, comment="why it was refused"),
    Column("note", Text, comment="what came of it, where its parts do not tell"),
    Column("noted_at", Moment, comment="when all its parts were written down; null: not yet"),
    Column("finished_at", Moment, comment="when its result was written down"),
    Index(None, "finished_at"),
    Index(None, "digest", "received_at"),
    comment="What operators asked for, once each, however often it is delivered.",
)

command_parts = Table(
    "command_parts",
    metadata,
    Column("command_id", Text, ForeignKey("commands.command_id", ondelete="CASCADE"), primary_key=True),
    Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), primary_key=True),
    Column("part", Text, primary_key=True, comment="users | groups | subscriptions | access | state"),
    Column("answered_at", Moment, comment="null: still to be done"),
    Column("error", Text, comment="why it could not be done; null: it was done"),
    Column("note", Text, comment="what else there is to say"),
    Column("pages", Integer, nullable=False, default=0),
    Column("objects", Integer, nullable=False, default=0),
    Column("added", Integer, nullable=False, default=0),
    Column("changed", Integer, nullable=False, default=0),
    Column("removed", Integer, nullable=False, default=0),
    Index(None, "tenant_id", "part"),
    comment="What a command asks for, tenant by tenant, and what came of it.",
)

results = Table(
    "results",
    metadata,
    Column("result_id", Sequence, primary_key=True, autoincrement=True),
    Column("message_id", Guid, nullable=False, comment="the same however often it is published"),
    Column("at", Moment, nullable=False),
    Column("kind", Text, nullable=False, comment="command | round | warning"),
    Column("tenant_id", Guid, ForeignKey("tenants.tenant_id", ondelete="CASCADE"), comment="null: several, or none"),
    Column("command_id", Text, comment="of a command's result"),
    Column("outcome", Text, nullable=False, comment="done | failed | refused | repeated | warning"),
    Column("summary", Text, nullable=False, comment="one sentence for people"),
    Column("body", JSON, nullable=False),
    Column("publish_after", Moment, comment="to be put on sync.results; null: it is there"),
    Index(None, "publish_after"),
    Index(None, "at"),
    comment="What is told to operators: the results of commands and of full rounds, and warnings.",
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("key_id", Text, primary_key=True, comment="the part of the key that is no secret"),
    Column("name", Text, nullable=False, comment="who uses it, in the words of the operator"),
    Column(
        "digest", Text, nullable=False, comment="SHA-256 of the whole key, in hex; the key itself is stored nowhere"
    ),
    Column("all_tenants", Boolean, nullable=False, comment="true: those that are added later, too"),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, comment="null: never"),
    Column("revoked_at", Moment, comment="null: it is in use"),
    comment="Who may read the address book over HTTP.",
)
IN_USE = api_keys.c.revoked_at.is_(None)
Index("ix_api_keys_name", api_keys.c.name, unique=True, postgresql_where=IN_USE, sqlite_where=IN_USE)

api_key_tenants = Table(
    "api_key_tenants",
    metadata,
    Column("key_id", Text, ForeignKey("api_keys.key_id", ondelete="CASCADE"), primary_key=True),
    _tenant(),
    Index(None, "tenant_id"),
    comment="Whose address books a key opens, unless it is all_tenants; without a row: nobody's.",
)
