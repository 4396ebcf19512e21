"""A production environment with a real database that RDS backs up: built once, the same again for each test."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import psycopg2
from psycopg2.extensions import connection

from app import schema
from app.heartbeat import beat
from tasks import residue, verifier_role
from tasks.environment import PROJECT
from tests.restored import Production
from tests.stack import NAME

BUCKET = f"{NAME}-database-backups-123456789012"
PASSWORD = "canary-Password-of-the-master"
DB = f"{NAME}-db"
ITEMS = 2_500
HEARTBEATS = 130
WAIT = {"Delay": 1, "MaxAttempts": 60}


@dataclass
class BackedUp:
    lab: dict[str, Any]
    client: Callable[..., Any]
    production: Production = field(init=False)
    snapshot: str = ""

    def build(self) -> None:
        self.production = Production(self.lab, self.client)
        self.production.build()
        self.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        self._create_database()
        self._publish_outputs()
        self._fill()
        verifier_role.ensure_role.fn("dev")
        verifier_role.ensure_secret.fn("dev")

    def _create_database(self) -> None:
        rds = self.client("rds")
        rds.create_db_subnet_group(
            DBSubnetGroupName=DB, DBSubnetGroupDescription="database", SubnetIds=list(self.production.subnets)
        )
        rds.create_db_parameter_group(
            DBParameterGroupName=f"{NAME}-pg15", DBParameterGroupFamily="postgres15", Description="settings"
        )
        rds.create_db_instance(
            DBInstanceIdentifier=DB,
            Engine="postgres",
            EngineVersion="15.7",
            DBInstanceClass="db.t3.micro",
            StorageType="gp3",
            AllocatedStorage=20,
            StorageEncrypted=True,
            MasterUsername="postgres",
            MasterUserPassword=PASSWORD,
            DBName="demo_db",
            BackupRetentionPeriod=7,
            DBSubnetGroupName=DB,
            DBParameterGroupName=f"{NAME}-pg15",
            VpcSecurityGroupIds=[self.production.security_group],
            PubliclyAccessible=False,
        )
        rds.get_waiter("db_instance_available").wait(DBInstanceIdentifier=DB, WaiterConfig=WAIT)

    def _publish_outputs(self) -> None:
        endpoint = self.instance(DB)["Endpoint"]
        value = {"engine": "postgres", "host": endpoint["Address"], "port": endpoint["Port"], "dbname": "demo_db"}
        value |= {"username": "postgres", "password": PASSWORD}
        self.client("secretsmanager").put_secret_value(SecretId=f"{NAME}-db", SecretString=json.dumps(value))
        outputs = {**asdict(self.production.environment), "backup_bucket": BUCKET}
        outputs.pop("backup_replica_arn")  # Terraform has no such output without a replica
        for name, found in outputs.items():
            text = json.dumps(found) if isinstance(found, tuple) else found or "none"
            self.client("ssm").put_parameter(Name=f"/{PROJECT}/dev/{name}", Value=text, Type="String")

    def _fill(self) -> None:
        now = datetime.now(UTC).replace(second=0, microsecond=0)
        with self.session() as database:
            schema.migrate(database)
            with database, database.cursor() as sql:
                sql.execute(
                    "insert into items (name, description, price, created_at, updated_at)"
                    " select format('item %%s', n), repeat('x', n %% 50), n * 0.25, now() - n * interval '1 hour',"
                    " now() - interval '1 hour' from generate_series(1, %s) as n",
                    (ITEMS,),
                )
            for minute in range(HEARTBEATS, -1, -1):
                beat(database, "i-production", now - timedelta(minutes=minute))

    @contextmanager
    def session(self, db: str = DB) -> Iterator[connection]:
        """As the application: the master user."""
        endpoint = self.instance(db)["Endpoint"]
        database = psycopg2.connect(
            host=endpoint["Address"], port=endpoint["Port"], user="postgres", password=PASSWORD, dbname="demo_db"
        )
        try:
            yield database
        finally:
            database.close()

    def write(self, statement: str) -> None:
        with self.session() as database, database, database.cursor() as sql:
            sql.execute(statement)

    def heartbeat(self) -> None:
        with self.session() as database:
            beat(database, "i-production")

    def instance(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.client("rds").describe_db_instances(DBInstanceIdentifier=name)["DBInstances"][0]
        return found

    def restores(self) -> int:
        return count_restores(self.lab["url"])

    def residue(self) -> list[str]:
        """Whatever is marked as temporary and exists, but for snapshots that are kept."""
        return [str(one) for one in residue.find_residue.fn("dev") if not one.is_kept]


RESTORES = ("RestoreDBInstanceFromDBSnapshot", "RestoreDBInstanceToPointInTime")


def count_restores(lab: str) -> int:
    """How many copies were ever asked for and granted in the lab of this address."""
    counts = httpx.get(f"{lab}/lab/counts").json()
    return sum(counts.get(f"rds:{name}", 0) for name in RESTORES)
