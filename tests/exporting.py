"""A database with a snapshot, and where RDS may export it to: built by boto3, as Terraform would have built it."""

import json
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg2

ACCOUNT = "123456789012"
PROMPT = {"Delay": 1, "MaxAttempts": 60}
ENDED = ("COMPLETE", "FAILED", "CANCELED")
SECONDS = 60
ACTIONS = ["s3:GetBucketLocation", "s3:ListBucket", "s3:PutObject*", "s3:GetObject*", "s3:DeleteObject*"]


@dataclass(frozen=True)
class Exporting:
    """Names are `<name>-db`, `<name>-rds-s3-export` and `<name>-database-backups-<account>`."""

    clients: Callable[[str], Any]
    name: str

    @property
    def database(self) -> str:
        return f"{self.name}-db"

    @property
    def bucket(self) -> str:
        return f"{self.name}-database-backups-{ACCOUNT}"

    @property
    def role(self) -> str:
        return f"arn:aws:iam::{ACCOUNT}:role/{self.name}-rds-s3-export"

    @property
    def key(self) -> str:
        keys = self.clients("kms").list_keys()["Keys"]
        return str(keys[0]["KeyArn"])

    def build(self, *statements: str) -> None:
        """The database, with what `statements` make in it, and everything that an export needs."""
        self.clients("rds").create_db_instance(
            DBInstanceIdentifier=self.database,
            Engine="postgres",
            EngineVersion="15.8",
            DBInstanceClass="db.t3.micro",
            AllocatedStorage=20,
            MasterUsername="postgres",
            MasterUserPassword="first-password",
            DBName="demo_db",
            BackupRetentionPeriod=1,
        )
        self.clients("kms").create_key()
        self.clients("s3").create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": "eu-north-1"}
        )
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "export.rds.amazonaws.com"}}
        self.create_role(self.role.rpartition("/")[2], trust, ACTIONS)
        self.clients("rds").get_waiter("db_instance_available").wait(
            DBInstanceIdentifier=self.database, WaiterConfig=PROMPT
        )
        self.execute(*statements)

    def create_role(self, name: str, trust: dict[str, Any], actions: list[str]) -> str:
        """A role that `trust` lets others take, and that may do this to the bucket; its ARN."""
        iam, arn = self.clients("iam"), f"arn:aws:s3:::{self.bucket}"
        allow = {"Effect": "Allow", "Action": actions, "Resource": [arn, f"{arn}/*"]}
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=policy(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName=name, PolicyName="export", PolicyDocument=policy(allow))
        return str(made)

    def execute(self, *statements: str) -> None:
        endpoint = self.clients("rds").describe_db_instances(DBInstanceIdentifier=self.database)["DBInstances"][0][
            "Endpoint"
        ]
        address = {"host": endpoint["Address"], "port": endpoint["Port"], "dbname": "demo_db"}
        with closing(psycopg2.connect(user="postgres", password="first-password", **address)) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def snapshot(self, name: str) -> str:
        """A manual snapshot of what is in the database now; its ARN."""
        rds = self.clients("rds")
        made = rds.create_db_snapshot(DBInstanceIdentifier=self.database, DBSnapshotIdentifier=name)["DBSnapshot"]
        rds.get_waiter("db_snapshot_available").wait(DBSnapshotIdentifier=name, WaiterConfig=PROMPT)
        return str(made["DBSnapshotArn"])

    def start(self, name: str, snapshot: str, **other: Any) -> str:
        """Begin an export of everything in the snapshot of this name; the export's name."""
        found = self.clients("rds").describe_db_snapshots(DBSnapshotIdentifier=snapshot)["DBSnapshots"][0]
        asked = {"SourceArn": found["DBSnapshotArn"], "S3BucketName": self.bucket}
        asked |= {"IamRoleArn": self.role, "KmsKeyId": self.key, "ExportTaskIdentifier": name, **other}
        self.clients("rds").start_export_task(**asked)
        return name

    def tasks(self) -> list[dict[str, Any]]:
        return list(self.clients("rds").describe_export_tasks()["ExportTasks"])

    def task(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.clients("rds").describe_export_tasks(ExportTaskIdentifier=name)["ExportTasks"][0]
        return found

    def wait(self, name: str) -> list[str]:
        """Each status until the export ends."""
        seen: list[str] = []
        deadline = time.monotonic() + SECONDS
        while not seen or seen[-1] not in ENDED:
            status = self.task(name)["Status"]
            if not seen or seen[-1] != status:
                seen.append(status)
            if time.monotonic() > deadline:
                raise TimeoutError(f"export {name} is {status} after {SECONDS} s")
            time.sleep(0.05)
        return seen

    def objects(self, prefix: str = "") -> dict[str, bytes]:
        """What lies below `prefix`, by its name without it."""
        s3 = self.clients("s3")
        found = s3.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {
            one["Key"].removeprefix(prefix): s3.get_object(Bucket=self.bucket, Key=one["Key"])["Body"].read()
            for one in found
        }

    def forbid(self, action: str) -> None:
        resources = [f"arn:aws:s3:::{self.bucket}/*"]
        denial = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": resources}
        self.clients("s3").put_bucket_policy(Bucket=self.bucket, Policy=policy(denial))

    def forbid_nothing(self) -> None:
        self.clients("s3").delete_bucket_policy(Bucket=self.bucket)


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
