"""The first schema.

Revision: 0001, after: None
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

GUID = sa.String(length=36).with_variant(sa.UUID(as_uuid=False), "postgresql")
MOMENT = sa.DateTime(timezone=True)
SEQUENCE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "tenants",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("domain", sa.Text(), nullable=True),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("credential", sa.Text(), nullable=False, comment="sealed by common.secrets.Vault"),
        sa.Column(
            "default_region", sa.Text(), nullable=True, comment="ISO 3166-1 alpha-2, for people without a usageLocation"
        ),
        sa.Column("agreement_reference", sa.Text(), nullable=False),
        sa.Column("agreement_date", sa.Date(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False, comment="active | access_failed"),
        sa.Column("state_code", sa.Text(), nullable=True),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("state_since", MOMENT, nullable=False),
        sa.Column("throttled_until", MOMENT, nullable=True, comment="Graph asked to be left alone until then"),
        sa.Column("reconcile_at", MOMENT, nullable=False, comment="when the subscriptions are looked at next"),
        sa.Column(
            "subscription_trouble",
            sa.Text(),
            nullable=True,
            comment="why there are no working subscriptions; polling goes on",
        ),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "changes",
        sa.Column("sequence", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="contact.added, group.changed, membership.removed, …"),
        sa.Column("object_id", GUID, nullable=False),
        sa.Column("member_id", GUID, nullable=True, comment="of a membership change"),
        sa.Column("fields", sa.JSON(), nullable=True, comment="which columns changed; never their values"),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_changes_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_changes")),
        comment="Append-only feed of what happened to which id; no personal values.",
    )
    op.create_index("ix_changes_tenant_id_object_id", "changes", ["tenant_id", "object_id"])

    op.create_table(
        "contacts",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("object_id", GUID, nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("given_name", sa.Text(), nullable=True),
        sa.Column("surname", sa.Text(), nullable=True),
        sa.Column("mail", sa.Text(), nullable=True),
        sa.Column("user_principal_name", sa.Text(), nullable=True),
        sa.Column("mobile_phone", sa.Text(), nullable=True, comment="as the directory holds it"),
        sa.Column("business_phones", sa.JSON(), nullable=False, comment="as the directory holds them"),
        sa.Column("usage_location", sa.Text(), nullable=True),
        sa.Column("account_enabled", sa.Boolean(), nullable=True),
        sa.Column("user_type", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True, comment="E.164"),
        sa.Column("phone_source", sa.Text(), nullable=True, comment="mobile | business"),
        sa.Column("phone_state", sa.Text(), nullable=False, comment="ok | missing | invalid"),
        sa.Column("generation", sa.Integer(), nullable=False, comment="of the full round that last saw it"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_contacts_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "object_id", name=op.f("pk_contacts")),
    )
    op.create_index("ix_contacts_tenant_id_phone", "contacts", ["tenant_id", "phone"])

    op.create_table(
        "groups",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("object_id", GUID, nullable=False),
        sa.Column("display_name", sa.Text(), nullable=True),
        sa.Column("mail", sa.Text(), nullable=True),
        sa.Column("kind", sa.Text(), nullable=True, comment="microsoft365 | security | mail_security | distribution"),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_groups_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "object_id", name=op.f("pk_groups")),
    )
    op.create_table(
        "memberships",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("group_id", GUID, nullable=False),
        sa.Column("member_id", GUID, nullable=False),
        sa.Column(
            "member_type",
            sa.Text(),
            nullable=False,
            comment="user | group | device | servicePrincipal | orgContact | …",
        ),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_memberships_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", "member_id", name=op.f("pk_memberships")),
    )
    op.create_index("ix_memberships_tenant_id_member_id", "memberships", ["tenant_id", "member_id"])

    op.create_table(
        "rechecks",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("object_id", GUID, nullable=False),
        sa.Column("what", sa.Text(), nullable=False, comment="object | members"),
        sa.Column("due_at", MOMENT, nullable=False, comment="not read before: object reads lag behind delta, too"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_rechecks_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "stream", "object_id", "what", name=op.f("pk_rechecks")),
        comment="Objects of which a delta item said something ambiguous: they are read themselves.",
    )
    op.create_table(
        "rounds",
        sa.Column("round_id", SEQUENCE, autoincrement=True, nullable=False),
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("mode", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("began_at", MOMENT, nullable=False),
        sa.Column("ended_at", MOMENT, nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="ok | failed"),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("pages", sa.Integer(), nullable=False),
        sa.Column("objects", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("changed", sa.Integer(), nullable=False),
        sa.Column("removed", sa.Integer(), nullable=False),
        sa.Column("request_ids", sa.JSON(), nullable=False, comment="the commands that it answered"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_rounds_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("round_id", name=op.f("pk_rounds")),
        comment="History. Incremental rounds that changed nothing and answered nobody are not kept.",
    )
    op.create_index("ix_rounds_tenant_id_ended_at", "rounds", ["tenant_id", "ended_at"])

    op.create_table(
        "streams",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False, comment="users | groups"),
        sa.Column(
            "delta_link", sa.Text(), nullable=True, comment="the live cursor; null until the first full round has ended"
        ),
        sa.Column(
            "next_link",
            sa.Text(),
            nullable=True,
            comment="next page of the incremental round under way; null: none is under way",
        ),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=True,
            comment="of the select list and mapping that the cursor was made with",
        ),
        sa.Column("generation", sa.Integer(), nullable=False, comment="number of the latest full round"),
        sa.Column("lease_holder", sa.Text(), nullable=True),
        sa.Column(
            "lease_fence", sa.Integer(), nullable=False, comment="grows with every lease; fences off old holders"
        ),
        sa.Column("lease_until", MOMENT, nullable=True),
        sa.Column(
            "wanted_at", MOMENT, nullable=True, comment="latest request that came while another worker held the lease"
        ),
        sa.Column("waiting_request_ids", sa.JSON(), nullable=False, comment="commands the next round answers"),
        sa.Column("next_poll_at", MOMENT, nullable=False),
        sa.Column("last_began_at", MOMENT, nullable=True, comment="when the latest round that ended well began"),
        sa.Column("last_good_at", MOMENT, nullable=True, comment="when a round last ended well"),
        sa.Column("failures", sa.Integer(), nullable=False, comment="rounds that failed since the last good one"),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("full_wanted_at", MOMENT, nullable=True, comment="a full round is asked for"),
        sa.Column("full_wanted_reason", sa.Text(), nullable=True),
        sa.Column("full_wanted_request_ids", sa.JSON(), nullable=False, comment="commands that it will answer"),
        sa.Column("full_began_at", MOMENT, nullable=True, comment="a full round is under way"),
        sa.Column("full_reason", sa.Text(), nullable=True),
        sa.Column("full_link", sa.Text(), nullable=True, comment="its next page; null: from the first"),
        sa.Column("full_pages", sa.Integer(), nullable=False),
        sa.Column("full_objects", sa.Integer(), nullable=False),
        sa.Column("full_added", sa.Integer(), nullable=False),
        sa.Column("full_changed", sa.Integer(), nullable=False),
        sa.Column("full_removed", sa.Integer(), nullable=False),
        sa.Column("full_request_ids", sa.JSON(), nullable=False, comment="commands that the full round answers"),
        sa.Column(
            "last_full_began_at", MOMENT, nullable=True, comment="when that began: it answers what was asked before"
        ),
        sa.Column("last_full_at", MOMENT, nullable=True, comment="when the latest full round ended"),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_streams_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "stream", name=op.f("pk_streams")),
    )
    op.create_table(
        "subscriptions",
        sa.Column("tenant_id", GUID, nullable=False),
        sa.Column("stream", sa.Text(), nullable=False),
        sa.Column("subscription_id", GUID, nullable=False),
        sa.Column("public_url", sa.Text(), nullable=False),
        sa.Column(
            "key_fingerprint", sa.Text(), nullable=False, comment="of the server key its clientState was made with"
        ),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("renewed_at", MOMENT, nullable=False),
        sa.Column("renew_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id"], ["tenants.tenant_id"], name=op.f("fk_subscriptions_tenant_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "stream", name=op.f("pk_subscriptions")),
    )


def downgrade() -> None:
    op.drop_table("subscriptions")
    op.drop_table("streams")
    op.drop_index("ix_rounds_tenant_id_ended_at", "rounds")

    op.drop_table("rounds")
    op.drop_table("rechecks")
    op.drop_index("ix_memberships_tenant_id_member_id", "memberships")

    op.drop_table("memberships")
    op.drop_table("groups")
    op.drop_index("ix_contacts_tenant_id_phone", "contacts")

    op.drop_table("contacts")
    op.drop_index("ix_changes_tenant_id_object_id", "changes")

    op.drop_table("changes")
    op.drop_table("tenants")
