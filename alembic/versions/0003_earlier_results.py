"""earlier results from the archive.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this revision."""
    op.create_table(
        "earlier_result",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("study_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("patient_id", sa.String(), nullable=False),
        sa.Column("issuer_of_patient_id", sa.String(), nullable=False),
        sa.Column("replaces", sa.JSON(), nullable=False),
        sa.Column("acquired_on", sa.Date(), nullable=False),
        sa.Column("laterality", sa.String(length=1), nullable=True),
        sa.Column("chronological_age_months", sa.Double(), nullable=True),
        sa.Column("bone_age_months", sa.Double(), nullable=False),
        sa.Column("sd_months", sa.Double(), nullable=False),
        sa.Column("weights_version", sa.String(), nullable=False),
        sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_earlier_result")),
        sa.UniqueConstraint("sop_instance_uid", name=op.f("uq_earlier_result_sop_instance_uid")),
    )
    with op.batch_alter_table("earlier_result", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_earlier_result_patient_id"), ["patient_id"], unique=False
        )


def downgrade() -> None:
    """Move back to the revision before."""
    with op.batch_alter_table("earlier_result", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_earlier_result_patient_id"))

    op.drop_table("earlier_result")
