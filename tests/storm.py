"""An environment whose database has few connections, and clients that take them and do nothing with them."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg2
from psycopg2.extensions import connection

from tests.stack import NAME, Stack, build_stack

DB = f"{NAME}-db"
CONNECTIONS = 30
PASSWORD = "canary-Password-of-the-master"
MASTER = {"engine": "postgres", "dbname": "demo_db", "username": "postgres", "password": PASSWORD}
WAIT = {"Delay": 1, "MaxAttempts": 60}


@dataclass
class Storm:
    stack: Stack
    address: dict[str, Any]
    held: list[connection] = field(default_factory=list)

    def connect(self, name: str = "leaky", user: str = "postgres") -> connection:
        asked = {key: self.address[key] for key in ("host", "port", "dbname", "password")}
        return psycopg2.connect(**asked, user=user, application_name=name)

    def hold(self, name: str = "leaky", *, in_transaction: bool = False) -> connection:
        """A session that waits for a client which does not come back."""
        opened = self.connect(name)
        opened.autocommit = not in_transaction
        with opened.cursor() as cursor:
            cursor.execute("select 1")
        self.held.append(opened)
        return opened

    def hold_all(self) -> None:
        """Until the database refuses the next one."""
        while True:
            try:
                self.hold()
            except psycopg2.OperationalError:
                return

    def let_go(self) -> None:
        while self.held:
            self.held.pop().close()

    def is_refused(self) -> bool:
        try:
            self.connect().close()
        except psycopg2.OperationalError:
            return True
        return False


def is_alive(session: connection) -> bool:
    try:
        with session.cursor() as cursor:
            cursor.execute("select 1")
    except psycopg2.Error:
        return False
    return True


@contextmanager
def brewing(lab: dict[str, Any], clients: Callable[[str], Any]) -> Iterator[Storm]:
    """A stack, a database that lets so few in, and its secret."""
    rds = clients("rds")
    rds.create_db_parameter_group(DBParameterGroupName=DB, DBParameterGroupFamily="postgres15", Description="few")
    few = {"ParameterName": "max_connections", "ParameterValue": str(CONNECTIONS), "ApplyMethod": "pending-reboot"}
    rds.modify_db_parameter_group(DBParameterGroupName=DB, Parameters=[few])
    rds.create_db_instance(
        DBInstanceIdentifier=DB,
        Engine="postgres",
        DBInstanceClass="db.t3.micro",
        AllocatedStorage=20,
        DBName=MASTER["dbname"],
        MasterUsername=MASTER["username"],
        MasterUserPassword=PASSWORD,
        DBParameterGroupName=DB,
        BackupRetentionPeriod=0,
    )
    stack = build_stack(lab, clients, instances=1)
    rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=DB, WaiterConfig=WAIT)
    endpoint = rds.describe_db_instances(DBInstanceIdentifier=DB)["DBInstances"][0]["Endpoint"]
    address = {**MASTER, "host": endpoint["Address"], "port": endpoint["Port"]}
    clients("secretsmanager").create_secret(Name=DB, SecretString=json.dumps(address))
    made = Storm(stack, address)
    with closing(made.connect()) as session, session, session.cursor() as cursor:
        cursor.execute("create role reader login password %s", (PASSWORD,))
    try:
        yield made
    finally:
        made.let_go()
