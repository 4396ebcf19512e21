"""The role with which the runbook reads an environment's database: it sees everything and can write nothing."""

import hashlib
from dataclasses import dataclass, replace
from typing import Any

from psycopg2 import sql
from psycopg2.extensions import encrypt_password
from pydantic import SecretStr

from tasks import secretsmanager
from tasks.environment import PROJECT
from tasks.errors import PreconditionFailed, VerificationFailed
from tasks.kinds import action, probe
from tasks.postgres import Address, open_session
from tasks.secretsmanager import secret_name, verifier_secret_name
from tasks.verifier_rights import CONNECTION_LIMIT, MEMBER_OF, ROLE, describe, differences, judge_rights

STATEMENT_SECONDS = 60


@dataclass(frozen=True)
class VerifierPlan:
    """What is missing before the role can verify; none: everything is there."""

    environment: str
    missing: tuple[str, ...]

    @property
    def hash(self) -> str:
        """Two plans with the same hash do the same."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:12]

    def __str__(self) -> str:
        name = f"role {ROLE} of {PROJECT}-{self.environment}"
        return f"{name}: set right {'; '.join(self.missing)}" if self.missing else f"{name}: nothing to do"


def read_verifier_address(environment: str) -> Address:
    """Where the environment's database is, as the role that reads everything and writes nothing.

    Raises:
        PreconditionFailed: the role was never set up.
    """
    name = verifier_secret_name(environment)
    if address := _address(secretsmanager.read_value(name)):
        return address
    raise PreconditionFailed(
        f"there is no secret {name}, expected the credentials of role {ROLE}. Set it up:"
        f" python -m flows.set_up_verifier --environment {environment}"
    )


@probe
def plan_verifier(environment: str) -> VerifierPlan:
    """
    Raises:
        PreconditionFailed: there is no database, or its master user can't enter it.
    """
    master = read_master_address(environment)
    with open_session(master, STATEMENT_SECONDS) as session:
        missing = differences(session)
    name = verifier_secret_name(environment)
    if not _opens(_address(secretsmanager.read_value(name)), master):
        missing.append(f"secret {name}, which does not open the database")
    return VerifierPlan(environment, tuple(missing))


@action
def ensure_role(environment: str) -> None:
    """The role, its limits and its memberships; all or nothing. Its password is the secret's business."""
    role = sql.Identifier(ROLE)
    master = read_master_address(environment)
    with open_session(master, STATEMENT_SECONDS, read_only=False) as session, session.cursor() as cursor:
        found = describe(session)
        if found is None:
            cursor.execute(sql.SQL("create role {}").format(role))
        limits = "alter role {} login nocreatedb nocreaterole inherit connection limit {} valid until 'infinity'"
        cursor.execute(sql.SQL(limits).format(role, sql.Literal(CONNECTION_LIMIT)))
        cursor.execute(sql.SQL("alter role {} set default_transaction_read_only = on").format(role))
        for other in set(found.groups if found else ()) - set(MEMBER_OF):
            cursor.execute(sql.SQL("revoke {} from {}").format(sql.Identifier(other), role))
        for group in MEMBER_OF:
            cursor.execute(sql.SQL("grant {} to {}").format(sql.Identifier(group), role))
        session.commit()


@action
def ensure_secret(environment: str) -> None:
    """A secret that opens the database as the role; one that does already is left as it is."""
    master, name = read_master_address(environment), verifier_secret_name(environment)
    if _opens(_address(secretsmanager.read_value(name)), master):
        return
    password = secretsmanager.make_password()
    _set_password(master, password)
    value = replace(master, user=ROLE, password=password).to_secret()
    tags = {"Project": PROJECT, "Environment": environment, "ManagedBy": "runbook"}
    secretsmanager.write_value(name, f"Reads the database of {PROJECT}-{environment}, can't write it", value, tags)


@probe
def require_reads_all_and_writes_nothing(environment: str) -> tuple[str, ...]:
    """What was seen, as the role.

    Raises:
        VerificationFailed: it can write, or can't read, something; each is named.
    """
    with open_session(read_verifier_address(environment), STATEMENT_SECONDS, read_only=False) as session:
        faults, facts = judge_rights(session)
    if faults:
        raise VerificationFailed(
            f"role {ROLE} of {PROJECT}-{environment}: {'; '.join(faults)}. Expected that it reads everything and"
            " writes nothing: revoke what was granted to it or to PUBLIC by hand, and start this again"
        )
    return tuple(facts)


def read_master_address(environment: str) -> Address:
    if address := _address(secretsmanager.read_value(secret_name(environment))):
        return address
    raise PreconditionFailed(
        f"there is no secret {secret_name(environment)} with the database's address, expected one. Build the"
        f" environment first: python -m flows.deploy_infrastructure --environment {environment}"
    )


def _address(value: dict[str, Any] | None) -> Address | None:
    return None if value is None else Address.of_secret(value)


def _opens(address: Address | None, master: Address) -> bool:
    """Whether a new password would not help: another refusal, such as too many connections, has another cure."""
    if address is None:
        return False
    wanted = (master.host, master.port, master.database, ROLE)
    if (address.host, address.port, address.database, address.user) != wanted:
        return False
    try:
        with open_session(address, STATEMENT_SECONDS):
            return True
    except PreconditionFailed as refusal:
        return "authentication failed" not in str(refusal)


def _set_password(master: Address, password: SecretStr) -> None:
    """Sent as the verifier that PostgreSQL stores: a statement may end up in the server's log."""
    with open_session(master, STATEMENT_SECONDS, read_only=False) as session, session.cursor() as cursor:
        stored = encrypt_password(password.get_secret_value(), ROLE, session, "scram-sha-256")
        statement = sql.SQL("alter role {} password {}").format(sql.Identifier(ROLE), sql.Literal(stored))
        cursor.execute(statement)
        session.commit()
