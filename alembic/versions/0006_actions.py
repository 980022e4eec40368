"""priorities, weights asked for, acceptances, notes and batches.

Revision ID: 0006
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this revision."""
    # Not in a batch: SQLite would copy the table, and these columns need no copy.
    op.add_column(
        "job",
        sa.Column("priority", sa.String(length=16), nullable=False, server_default="normal"),
    )
    op.add_column("job", sa.Column("weights", sa.String(length=64), nullable=True))
    op.add_column("job", sa.Column("accepted", sa.JSON(none_as_null=True), nullable=True))
    op.create_table(
        "note",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_note_job_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_note")),
    )
    op.create_index(op.f("ix_note_job_id"), "note", ["job_id"], unique=False)
    op.create_table(
        "batch",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.String(length=128), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("cancelled_by", sa.String(length=128), nullable=True),
        sa.Column("total", sa.Integer(), nullable=True),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("skipped", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_batch")),
    )
    op.create_index(op.f("ix_batch_finished_at"), "batch", ["finished_at"], unique=False)
    op.create_table(
        "batch_member",
        sa.Column("batch_id", sa.Integer(), nullable=False),
        sa.Column("job_id", sa.Integer(), nullable=False),
        sa.Column("rerun_id", sa.Integer(), nullable=True),
        sa.Column("skipped_because", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["batch_id"], ["batch.id"], name=op.f("fk_batch_member_batch_id")),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name=op.f("fk_batch_member_job_id")),
        sa.ForeignKeyConstraint(["rerun_id"], ["job.id"], name=op.f("fk_batch_member_rerun_id")),
        sa.PrimaryKeyConstraint("batch_id", "job_id", name=op.f("pk_batch_member")),
    )


def downgrade() -> None:
    """Move back to the revision before."""
    op.drop_table("batch_member")
    op.drop_index(op.f("ix_batch_finished_at"), table_name="batch")
    op.drop_table("batch")
    op.drop_index(op.f("ix_note_job_id"), table_name="note")
    op.drop_table("note")
    # Not in a batch, as in 0002.
    op.drop_column("job", "accepted")
    op.drop_column("job", "weights")
    op.drop_column("job", "priority")
