"""A table as one SHA-256: slower than sums of hashes, and nobody can make another table that has it."""

import hashlib

from psycopg2 import sql
from psycopg2.extensions import connection

from tasks.postgres import copy_out
from tasks.tables import Table


def sign(session: connection, table: Table) -> str:
    """Over every row in binary form, in the order of the key; streamed, so that memory does not grow with the table."""
    digest = hashlib.sha256()
    forms = [column.form for column in table.columns]
    key = [column.form for column in table.columns if column.name in table.key]
    rows = sql.SQL("select {0} from only {1} as t order by {2}").format(
        sql.SQL(", ").join(forms), table.identifier, sql.SQL(", ").join(key or forms or [sql.SQL("true")])
    )
    copy_out(session, sql.SQL("copy ({}) to stdout (format binary)").format(rows), digest.update)
    return digest.hexdigest()
