"""Who agreed to which image, and which promotions hold a canary's place."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Make the table and the column; what runs already holds no place."""
    op.create_table(
        "approvals",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer(), "sqlite"),
            autoincrement=True,
            nullable=False,
        ),
        sa.Column("promotion", sa.Text(), nullable=False),
        sa.Column("image", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("comment", sa.Text(), nullable=False),
        sa.Column("at", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["promotion"], ["promotions.id"]),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
        sa.UniqueConstraint("link", name=op.f("uq_approvals_link")),
    )
    op.create_index(op.f("ix_approvals_promotion"), "approvals", ["promotion"], unique=False)
    op.add_column("promotions", sa.Column("placed_at", sa.Text(), nullable=True))
