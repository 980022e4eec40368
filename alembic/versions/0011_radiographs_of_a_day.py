"""radiographs of a day.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

INDEX = "ix_job_by_study_date"
COLUMNS = ("study_date", "id", "state", "calling_ae_title", "determination", "undelivered")


def upgrade() -> None:
    """Move to this revision: the index of the days says of which radiograph a job is."""
    op.drop_index(INDEX, table_name="job")
    op.create_index(INDEX, "job", [*COLUMNS, "created_at", "instance_id"])


def downgrade() -> None:
    """Move back to the revision before."""
    op.drop_index(INDEX, table_name="job")
    op.create_index(INDEX, "job", [*COLUMNS, "created_at"])
