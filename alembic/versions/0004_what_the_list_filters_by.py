"""what the list filters by.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

AT_ONCE = 1000
FILTERS = ("state", "calling_ae_title", "determination")
LISTED = (*FILTERS, "undelivered")
JOB_INDICES = {
    "ix_job_by_received": ["created_at", "id", *LISTED],
    "ix_job_by_study_date": ["study_date", "id", *LISTED, "created_at"],
    "ix_job_by_bone_age": ["bone_age_months", "id", *LISTED, "created_at"],
    "ix_job_by_change": ["updated_at", "id", *LISTED, "created_at"],
    **{f"ix_job_{name}_created_at_id": [name, "created_at", "id"] for name in FILTERS},
}
INSTANCE = sa.table(
    "instance",
    sa.column("id", sa.Integer),
    sa.column("calling_ae_title", sa.String),
    sa.column("header", sa.JSON),
    sa.column("patient_name_key", sa.String),
    sa.column("accession_number", sa.String),
)
JOB = sa.table(
    "job",
    sa.column("instance_id", sa.Integer),
    sa.column("finding", sa.JSON),
    sa.column("calling_ae_title", sa.String),
    sa.column("study_date", sa.String),
    sa.column("determination", sa.String),
    sa.column("id", sa.Integer),
    sa.column("undelivered", sa.Boolean),
)
DELIVERY = sa.table("delivery", sa.column("job_id", sa.Integer), sa.column("state", sa.String))


def upgrade() -> None:
    """Move to this revision; what the list filters by is taken from header and finding.

    Not in a batch: on SQLite that could make the tables anew, which other rows point to.
    """
    name = sa.String(length=64).with_variant(sa.String(length=64, collation="C"), "postgresql")
    text: dict[str, Any] = {"nullable": False, "server_default": ""}
    op.add_column("instance", sa.Column("patient_name_key", name, **text))
    op.add_column("instance", sa.Column("accession_number", sa.String(length=64), **text))
    op.add_column("job", sa.Column("calling_ae_title", sa.String(length=16), **text))
    op.add_column("job", sa.Column("study_date", sa.String(length=8), **text))
    op.add_column("job", sa.Column("determination", sa.String(length=16), nullable=True))
    op.add_column(
        "job",
        sa.Column("undelivered", sa.Boolean(), nullable=False, server_default=sa.false()),
    )
    if not op.get_context().as_sql:
        _fill()
    for column in ("patient_name_key", "accession_number"):
        op.create_index(op.f(f"ix_instance_{column}"), "instance", [column], unique=False)
    for index, columns in JOB_INDICES.items():
        op.create_index(index, "job", columns, unique=False)
    op.create_index(
        "ix_delivery_state_destination_job_id",
        "delivery",
        ["state", "destination", "job_id"],
        unique=False,
    )


def _fill() -> None:
    """Fill the new columns, some instances at a time."""
    connection = op.get_bind()
    instances = sa.select(INSTANCE.c.id, INSTANCE.c.calling_ae_title, INSTANCE.c.header)
    last = 0
    while rows := connection.execute(
        instances.where(INSTANCE.c.id > last).order_by(INSTANCE.c.id).limit(AT_ONCE)
    ).all():
        last = rows[-1].id
        connection.execute(
            INSTANCE.update()
            .where(INSTANCE.c.id == sa.bindparam("of"))
            .values(
                patient_name_key=sa.bindparam("name"), accession_number=sa.bindparam("accession")
            ),
            [
                {"of": row.id, "name": _name_key(row.header), "accession": _accession(row.header)}
                for row in rows
            ],
        )
        connection.execute(
            JOB.update()
            .where(JOB.c.instance_id == sa.bindparam("of"))
            .values(calling_ae_title=sa.bindparam("caller"), study_date=sa.bindparam("day")),
            [
                {"of": row.id, "caller": row.calling_ae_title, "day": _day(row.header)}
                for row in rows
            ],
        )
    connection.execute(
        JOB.update().values(determination=JOB.c.finding["determination"].as_string())
    )
    given_up = sa.select(DELIVERY.c.job_id).where(DELIVERY.c.state.in_(("refused", "exhausted")))
    connection.execute(JOB.update().where(JOB.c.id.in_(given_up)).values(undelivered=True))


def _name_key(header: dict[str, str]) -> str:
    groups = header.get("PatientName", "").split("=")
    words = (" ".join(group.replace("^", " ").split()) for group in groups)
    return next((group for group in words if group), "").casefold()[:64]


def _accession(header: dict[str, str]) -> str:
    value = header.get("AccessionNumber", "")
    return value if len(value) <= 64 else ""  # noqa: PLR2004 - what the column holds


def _day(header: dict[str, str]) -> str:
    found = re.fullmatch(r"([0-9]{4})\.?([0-9]{2})\.?([0-9]{2})", header.get("StudyDate", ""))
    return "".join(found.groups()) if found else ""


def downgrade() -> None:
    """Move back to the revision before."""
    op.drop_index("ix_delivery_state_destination_job_id", table_name="delivery")
    for index in JOB_INDICES:
        op.drop_index(index, table_name="job")
    for column in ("patient_name_key", "accession_number"):
        op.drop_index(op.f(f"ix_instance_{column}"), table_name="instance")
        op.drop_column("instance", column)
    for column in ("undelivered", "determination", "study_date", "calling_ae_title"):
        op.drop_column("job", column)
