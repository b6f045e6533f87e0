"""The outbox of what people are told."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Make its tables; no channel is known yet, and each begins with what happens next."""
    op.create_table(
        "notification_channels",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("cursor", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("channel", name=op.f("pk_notification_channels")),
    )
    op.create_table(
        "notifications",
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("event", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("queued_at", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.Text(), nullable=True),
        sa.Column("delivered_at", sa.Text(), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("channel", "event", name=op.f("pk_notifications")),
    )
    op.create_index(op.f("ix_notifications_channel_due_at"), "notifications", ["channel", "due_at"])
