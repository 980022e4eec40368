"""series by their UID.

Revision ID: 0008
Revises: 0003
"""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this revision."""
    for table in ("instance", "output"):
        name = op.f(f"ix_{table}_series_instance_uid")
        op.create_index(name, table, ["series_instance_uid"])


def downgrade() -> None:
    """Move back to the revision before."""
    for table in ("instance", "output"):
        op.drop_index(op.f(f"ix_{table}_series_instance_uid"), table_name=table)
