"""Whether a verification can fail at all: ten lies are planted in the restored copy, and each must be caught."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection

from tasks import mutations
from tasks.catalogue import Catalogue, difference, read_catalogue
from tasks.errors import PreconditionFailed, RunbookError, VerificationFailed
from tasks.mutations import NotPlanted, Plant, Planted
from tasks.own_tables import Table, read_tables
from tasks.verdict import Verdict

LAYER = "mutants"
INVALID_INDEX = "runbook_mutant"
LEFT = "select indexrelid::regclass::text from pg_index join pg_class on pg_class.oid = indexrelid where relname = %s"

Connect = Callable[[], AbstractContextManager[connection]]
Judge = Callable[[connection], Iterable[Verdict]]
Planting = Callable[[Connect, Sequence[Table]], AbstractContextManager[tuple[connection, Planted]]]


@dataclass(frozen=True)
class Mutant:
    """A lie that is in the copy, as the session sees it, while the context is open."""

    name: str
    planted: Planting


@dataclass(frozen=True)
class Attempt:
    """One mutant: the layers that caught it, or why it counts as escaped."""

    mutant: str
    what: str
    layers: tuple[str, ...] = ()
    escaped: str = ""

    @property
    def is_caught(self) -> bool:
        return bool(self.layers)


@dataclass(frozen=True)
class Catch:
    attempts: tuple[Attempt, ...]

    def __str__(self) -> str:
        return f"{len([one for one in self.attempts if one.is_caught])}/{len(self.attempts)}"

    @property
    def escaped(self) -> tuple[Attempt, ...]:
        return tuple(one for one in self.attempts if not one.is_caught)

    @property
    def verdict(self) -> Verdict:
        """Not good unless there were mutants and every one was caught."""
        reasons = [f"the mutant '{one.mutant}' escaped: {one.escaped}" for one in self.escaped]
        facts = [f"{one.mutant}: {one.what}; caught by {', '.join(one.layers)}" for one in self.attempts if one.layers]
        if not self.attempts:
            reasons = ["no mutant was planted, expected at least one"]
        return Verdict(LAYER, tuple(reasons), (f"mutants caught {self}", *facts))


def verify_mutants(connect: Connect, judge: Judge, mutants: "Sequence[Mutant] | None" = None) -> Catch:
    """Plant each mutant, judge, and take it back. Whoever else is connected to the copy must hold no transaction open.

    Args:
        connect: a session that may write, in a transaction of its own, of the role that owns the tables.
        judge: the verification itself. It must stay in the session's transaction: it neither commits nor rolls back.

    Raises:
        PreconditionFailed: the copy is not verified without any mutant, so that nothing could be seen on it.
        VerificationFailed: the copy is not what it was. It must not be used any more.
    """
    remove_leftovers(connect)
    with connect() as copy:
        before, reasons = _look(copy, judge)
        with copy.cursor() as session:
            tables = read_tables(session)
    if reasons:
        raise PreconditionFailed(f"the copy is not verified, expected it to be before mutants: {'; '.join(reasons)}")
    attempts = tuple(_attempt(mutant, connect, judge, tables) for mutant in (MUTANTS if mutants is None else mutants))
    with connect() as copy:
        after, reasons = _look(copy, judge)
    if traces := [*difference(before, after), *reasons]:
        raise VerificationFailed(f"the copy is not what it was before the mutants: {'; '.join(traces)}. Restore again")
    return Catch(attempts)


def remove_leftovers(connect: Connect) -> None:
    """What a run that was killed left: all but one mutant are gone with their transaction."""
    with connect() as copy:
        copy.autocommit = True
        with copy.cursor() as session:
            session.execute(LEFT, (INVALID_INDEX,))
            for (name,) in session.fetchall():
                session.execute(sql.SQL("drop index {}").format(sql.SQL(name)))


def _look(copy: connection, judge: Judge) -> tuple[Catalogue, list[str]]:
    return read_catalogue(copy), [reason for verdict in judge(copy) for reason in verdict.reasons]


def _attempt(mutant: Mutant, connect: Connect, judge: Judge, tables: Sequence[Table]) -> Attempt:
    """A verification that stops is none: it does not count as having caught anything."""
    what = "not planted"
    try:
        with mutant.planted(connect, tables) as (copy, planted):
            what = planted.what
            verdicts = [verdict for verdict in judge(copy) if not verdict.is_good]
    except (RunbookError, psycopg2.Error) as error:
        return Attempt(mutant.name, what, escaped=f"{what}; {str(error).strip().splitlines()[0]}")
    layers = tuple(one.layer for one in verdicts if any(planted.thing in reason for reason in one.reasons))
    reasons = "; ".join(reason for one in verdicts for reason in one.reasons) or "everything is verified"
    return Attempt(mutant.name, what, layers, "" if layers else f"{what}, and the judgement was: {reasons}")


@contextmanager
def _in_transaction(plant: Plant, connect: Connect, tables: Sequence[Table]) -> Iterator[tuple[connection, Planted]]:
    with connect() as copy:
        try:
            with copy.cursor() as session:
                session.execute("set local jit = off")
                planted = plant(session, tables)
            yield copy, planted
        finally:
            copy.rollback()


@contextmanager
def _with_invalid_index(connect: Connect, tables: Sequence[Table]) -> Iterator[tuple[connection, Planted]]:
    """PostgreSQL leaves one behind when rows are in the way of a unique index that is built concurrently."""
    table = next((one for one in tables if one.rows > 1), None)
    if table is None:
        raise NotPlanted("there is no table with two rows, expected one")
    try:
        _fail_to_build(connect, table)
        with connect() as copy:
            yield copy, Planted(f"an index of {table.name} is invalid", "invalid")
    finally:
        remove_leftovers(connect)


def _fail_to_build(connect: Connect, table: Table) -> None:
    statement = sql.SQL("create unique index concurrently {} on {} ((true))")
    with connect() as copy:
        copy.autocommit = True
        try:
            with copy.cursor() as session:
                session.execute(statement.format(sql.Identifier(INVALID_INDEX), sql.SQL(table.name)))
        except psycopg2.errors.UniqueViolation:
            return
    raise NotPlanted(
        f"a unique index on a constant was built on {table.name}, expected its {table.rows} rows to forbid"
    )


MUTANTS = (
    Mutant("a row is dropped", partial(_in_transaction, mutations.drop_row)),
    Mutant("one bit is changed", partial(_in_transaction, mutations.flip_bit)),
    Mutant("a table is truncated", partial(_in_transaction, mutations.truncate_table)),
    Mutant("a sequence is reset", partial(_in_transaction, mutations.reset_sequence)),
    Mutant("an index is invalid", _with_invalid_index),
    Mutant("a role is missing", partial(_in_transaction, mutations.hide_role)),
    Mutant("the restore is two hours too old", partial(_in_transaction, mutations.turn_back_time)),
    Mutant("it is another database", partial(_in_transaction, mutations.become_another)),
    Mutant("a column has another type", partial(_in_transaction, mutations.change_type)),
    Mutant("two rows have exchanged their keys", partial(_in_transaction, mutations.swap_rows)),
)
