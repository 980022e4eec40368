"""Many rows at once into an empty database, as quickly as each database takes them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from psycopg import sql
from sqlalchemy import text

from dicom_node.db import Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dicom_node.db import Database

SQLITE_MOMENT: Final = "%Y-%m-%d %H:%M:%S.%f"
CACHE_KIBIBYTES: Final = 262_144

Row = dict[str, Any]


class Bulk:
    """Writes rows of several tables; those of one table have the same columns.

    Parameters
    ----------
    database : Database
        Nobody else may write to it meanwhile.
    """

    def __init__(self, database: Database) -> None:
        self._is_sqlite = database.backend == "sqlite"
        self._connection = database.engine.connect()
        if self._is_sqlite:  # a power cut during the seed is no loss
            self._connection.exec_driver_sql("COMMIT")
            self._connection.exec_driver_sql("PRAGMA synchronous=OFF")
            self._connection.exec_driver_sql(f"PRAGMA cache_size=-{CACHE_KIBIBYTES}")
            self._connection.exec_driver_sql("BEGIN IMMEDIATE")

    def write(self, rows: Mapping[str, Sequence[Row]]) -> None:
        """Write rows by table, in the order of the tables, and commit."""
        for table, some in rows.items():
            if some:
                (self._insert if self._is_sqlite else self._copy)(table, some)
        self._connection.commit()

    def _insert(self, table: str, rows: Sequence[Row]) -> None:
        names = list(rows[0])
        places = ", ".join("?" * len(names))
        words = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})"  # noqa: S608 - ours
        values = [tuple(_sqlite_value(row[name]) for name in names) for row in rows]
        self._connection.exec_driver_sql(words, values)

    def _copy(self, table: str, rows: Sequence[Row]) -> None:
        names = list(rows[0])
        words = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
        )
        driver: Any = self._connection.connection.driver_connection
        self._connection.execute(text("SELECT 1"))  # the transaction has begun
        with driver.cursor() as cursor, cursor.copy(words) as copy:
            for row in rows:
                copy.write_row([_json(row[name]) for name in names])

    def close(self) -> None:
        """Let the database go on from here: numbers, and what its planner knows."""
        if not self._is_sqlite:
            for name, table in Table.metadata.tables.items():
                if "id" in table.c:
                    self._connection.execute(text(_next_number(name)))
            self._connection.commit()
            automatic = self._connection.execution_options(isolation_level="AUTOCOMMIT")
            automatic.execute(text("VACUUM (ANALYZE)"))
        self._connection.invalidate()  # what was set for the seed is not for others
        self._connection.close()


def _next_number(table: str) -> str:
    numbers = f"pg_get_serial_sequence('{table}', 'id')"
    return f"SELECT setval({numbers}, coalesce(max(id), 0) + 1, false) FROM {table}"  # noqa: S608 - ours


def _json(value: Any) -> Any:  # noqa: ANN401 - of any column
    return json.dumps(value) if isinstance(value, dict) else value


def _sqlite_value(value: Any) -> Any:  # noqa: ANN401 - of any column
    if isinstance(value, datetime):
        return value.strftime(SQLITE_MOMENT)
    return _json(value)
