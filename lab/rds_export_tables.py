"""Which tables of a snapshot RDS exports, and as which Parquet types.

Source: RDS user guide, "PostgreSQL data type mapping to Parquet" and the limitations of snapshot exports.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from psycopg2 import sql

from lab.postgres import Cluster

# Everything else becomes a string. These come as they are; object identifiers do not come at all.
TYPES: dict[str, tuple[pa.DataType, str]] = {
    "bool": (pa.bool_(), "boolean"),
    "int2": (pa.int16(), "int32"),
    "int4": (pa.int32(), "int32"),
    "int8": (pa.int64(), "int64"),
    "float4": (pa.float32(), "float"),
    "float8": (pa.float64(), "double"),
    "bytea": (pa.binary(), "binary"),
    "bpchar": (pa.string(), "binary (UTF8)"),  # cast to text it would lose its blanks
}
STRING = (pa.string(), "binary (UTF8)")
OBJECT_IDENTIFIERS = frozenset({"oid", "regclass", "regproc", "regprocedure", "regtype", "regrole", "regnamespace"})
NOT_IN_COLUMNS = frozenset(",;{}()\n\t= ")
DATABASES = "SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY 1"
TABLES = """
SELECT n.nspname, c.relname,
       has_schema_privilege(%s, n.oid, 'USAGE') AND has_table_privilege(%s, c.oid, 'SELECT'),
       CASE c.relkind WHEN 'r' THEN ARRAY[c.oid::regclass::text] ELSE
           ARRAY(SELECT relid::text FROM pg_partition_tree(c.oid) WHERE isleaf AND relid <> c.oid) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
ORDER BY 1, 2
"""
COLUMNS = """
SELECT column_name, CASE WHEN domain_name IS NULL THEN udt_name ELSE 'domain' END, data_type,
       coalesce(character_maximum_length, 0), coalesce(numeric_precision, 0), coalesce(datetime_precision, 0)
FROM information_schema.columns WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position
"""


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    told: str
    lengths: Sequence[int]

    @property
    def parquet(self) -> tuple[pa.DataType, str]:
        return TYPES.get(self.type, STRING)

    @property
    def expression(self) -> sql.Composable:
        name = sql.Identifier(self.name)
        return name if self.type in TYPES else sql.SQL("{}::text").format(name)

    def mapping(self) -> dict[str, Any]:
        """As export_tables_info tells it."""
        characters, digits, fraction = self.lengths
        return {
            "columnName": self.name,
            "originalType": self.told,
            "expectedExportedType": self.parquet[1],
            "originalCharMaxLength": characters,
            "originalNumPrecision": digits,
            "originalDateTimePrecision": fraction,
        }


@dataclass(frozen=True)
class Table:
    """`parts` are what holds its rows, as SQL names them: the table itself, or its partitions."""

    database: str
    schema: str
    name: str
    parts: tuple[str, ...]
    columns: tuple[Column, ...]
    skipped: str | None

    @property
    def target(self) -> str:
        return f"{self.database}.{self.schema}.{self.name}"

    def is_in(self, export_only: Sequence[str]) -> bool:
        return not export_only or any(f"{self.target}.".startswith(f"{part}.") for part in export_only)


def find_tables(cluster: Cluster, master: str) -> Iterator[Table]:
    """Every table of every user database; those that RDS can't export say why."""
    for (database,) in cluster.query(DATABASES):
        for schema, name, is_allowed, parts in cluster.query(TABLES, master, master, database=database):
            found = [
                Column(column, kind, told, lengths)
                for column, kind, told, *lengths in cluster.query(COLUMNS, schema, name, database=database)
                if kind not in OBJECT_IDENTIFIERS
            ]
            skipped = None if is_allowed else "PERMISSIONS_DO_NOT_EXIST"
            if "/" in name or any(NOT_IN_COLUMNS & set(column.name) for column in found):
                skipped = "UNSUPPORTED_CHARACTERS_IN_NAME"
            elif not found:
                skipped = "NO_SUPPORTED_COLUMNS"
            yield Table(database, schema, name, tuple(parts), tuple(found), skipped)
