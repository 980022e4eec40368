"""patients and corrections.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Move to this revision; what is known of the patient is taken from the kept headers."""
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.add_column(sa.Column("patient_id", sa.String(), nullable=False, server_default=""))
        batch_op.add_column(
            sa.Column("issuer_of_patient_id", sa.String(), nullable=False, server_default="")
        )
    instance = sa.table(
        "instance",
        sa.column("header", sa.JSON),
        sa.column("patient_id", sa.String),
        sa.column("issuer_of_patient_id", sa.String),
    )
    header = instance.c.header
    patient_id = sa.func.coalesce(header["PatientID"].as_string(), "")
    op.execute(
        instance.update().values(
            # No longer than VR LO allows: PostgreSQL cannot index a value of any length.
            patient_id=sa.case((sa.func.length(patient_id) <= 64, patient_id), else_=""),  # noqa: PLR2004
            issuer_of_patient_id=sa.func.coalesce(header["IssuerOfPatientID"].as_string(), ""),
        )
    )
    with op.batch_alter_table("instance", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_instance_patient_id"), ["patient_id"], unique=False)
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.add_column(sa.Column("corrections", sa.JSON(), nullable=True))


def downgrade() -> None:
    """Move back to the revision before.

    Not in a batch: on SQLite that makes the table anew, which other rows point to.
    """
    op.drop_column("job", "corrections")
    op.drop_index(op.f("ix_instance_patient_id"), table_name="instance")
    op.drop_column("instance", "issuer_of_patient_id")
    op.drop_column("instance", "patient_id")
