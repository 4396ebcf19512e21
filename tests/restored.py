"""A production environment without its traffic, and databases as a restore would leave them."""

import base64
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg2
from psycopg2.extensions import connection
from pydantic import SecretStr

from app import schema
from app.heartbeat import beat
from lab.postgres import SUPERUSER, Cluster
from tasks.environment import PROJECT, Environment
from tasks.postgres import Address
from tasks.residue_kinds import EXPIRES_AT, FLOW, RUN_ID
from tests.stack import NAME, ROOT, push_release

AMI_PARAMETER = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
VERSION = "1.0.0"
ITEMS = 5
OTHER_MARKS = {FLOW: "verify-backup", EXPIRES_AT: "2030-01-01T00:00:00Z"}
runs = itertools.count(1)


@dataclass
class Databases:
    """Databases of one PostgreSQL; the one called `good` is what the others are copied from."""

    cluster: Cluster
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def prepare(self) -> None:
        self.cluster.query("create database good")
        with self.session("good") as database:
            schema.migrate(database)
            with database, database.cursor() as sql:
                sql.execute(
                    "insert into items (name, description, price, created_at, updated_at)"
                    " select format('Zoe \"%%s\" : 5', n), 'a \\ and \"id\" : 0', n + 0.5,"
                    " now() - n * interval '1 day', now()"
                    " from generate_series(1, %s) as n",
                    (ITEMS,),
                )
            hour_ago = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
            for minute in range(3):
                beat(database, "i-production", hour_ago + timedelta(minutes=minute))

    def copy(self, *changes: str) -> Address:
        """Another one like the good one, but for these changes."""
        name = f"copy{next(self._numbers)}"
        self.cluster.query(f"create database {name} template good")
        with self.session(name) as database, database, database.cursor() as sql:
            for change in changes:
                sql.execute(change)
        return self.address(name)

    def empty(self) -> Address:
        name = f"empty{next(self._numbers)}"
        self.cluster.query(f"create database {name}")
        return self.address(name)

    def address(self, name: str) -> Address:
        return Address(self.cluster.host, self.cluster.port, name, SUPERUSER, SecretStr(self.cluster.password))

    def query(self, address: Address, statement: str) -> list[tuple[Any, ...]]:
        return self.cluster.query(statement, database=address.database)

    @contextmanager
    def session(self, name: str) -> Iterator[connection]:
        database = psycopg2.connect(self.cluster.dsn(name))
        try:
            yield database
        finally:
            database.close()


@dataclass
class Production:
    """An Auto Scaling group whose template runs the application's real image, and that has no instances now."""

    lab: dict[str, Any]
    client: Callable[..., Any]
    subnets: tuple[str, ...] = ()
    security_group: str = ""
    environment: Environment = field(init=False)

    def build(self) -> None:
        ec2 = self.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = tuple(
            ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for n, zone in enumerate(("eu-north-1a", "eu-north-1b"))
        )
        group = ec2.create_security_group(GroupName=f"{NAME}-app-sg", Description="instances", VpcId=vpc)
        self.security_group = group["GroupId"]
        secret = self.client("secretsmanager").create_secret(Name=f"{NAME}-db", SecretString="{}")["ARN"]
        self.client("logs").create_log_group(logGroupName=f"/aws/ec2/{NAME}")
        image = self._push()
        template = self._create_template(image, secret)
        self.client("autoscaling").create_auto_scaling_group(
            AutoScalingGroupName=f"{NAME}-asg",
            MinSize=0,
            MaxSize=4,
            DesiredCapacity=0,
            LaunchTemplate={"LaunchTemplateId": template, "Version": "1"},
            VPCZoneIdentifier=",".join(self.subnets),
        )
        self.environment = _environment(template, secret, image)

    def _push(self) -> str:
        self.client("ecr").create_repository(repositoryName=PROJECT)
        return push_release(self.client("ecr"), ROOT, VERSION)

    def _create_template(self, image: str, secret: str) -> str:
        """What Terraform's module ec2 renders, without what an instance here does not run."""
        self.client("iam").create_instance_profile(InstanceProfileName=f"{NAME}-ec2")
        ami = self.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        user_data = (
            "#!/bin/bash\ndocker run -d --restart=always --name app -p 5000:5000 --log-driver=awslogs"
            f" --log-opt awslogs-group=/aws/ec2/{NAME} --log-opt awslogs-stream=$INSTANCE_ID -e AWS_REGION=eu-north-1"
            f" -e DB_SECRET_ARN={secret} -e INSTANCE_ID=$INSTANCE_ID {image}\n"
        )
        disk = {"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20, "DeleteOnTermination": True}}
        made = self.client("ec2").create_launch_template(
            LaunchTemplateName=f"{NAME}-lt",
            LaunchTemplateData={
                "ImageId": ami,
                "InstanceType": "t3.micro",
                "SecurityGroupIds": [self.security_group],
                "IamInstanceProfile": {"Name": f"{NAME}-ec2"},
                "BlockDeviceMappings": [disk],
                "UserData": base64.b64encode(user_data.encode()).decode(),
            },
        )
        return str(made["LaunchTemplate"]["LaunchTemplateId"])

    def instances(self, run_id: str) -> list[dict[str, Any]]:
        """Every instance that this run has launched, with those that are terminated."""
        asked = [{"Name": f"tag:{RUN_ID}", "Values": [run_id]}]
        found = self.client("ec2").describe_instances(Filters=asked)["Reservations"]
        return [instance for reservation in found for instance in reservation["Instances"]]

    def log(self, instance_id: str) -> str:
        asked = {"logGroupName": f"/aws/ec2/{NAME}", "logStreamNames": [instance_id]}
        lines = "\n".join(event["message"] for event in self.client("logs").filter_log_events(**asked)["events"])
        assert "database connected" in lines
        return lines

    def residue(self) -> list[str]:
        """Whatever is marked as temporary and exists."""
        marked = [{"Name": "tag-key", "Values": [RUN_ID]}]
        ec2 = self.client("ec2")
        instances = [
            one["InstanceId"]
            for reservation in ec2.describe_instances(Filters=marked)["Reservations"]
            for one in reservation["Instances"]
            if one["State"]["Name"] != "terminated"
        ]
        volumes = [one["VolumeId"] for one in ec2.describe_volumes(Filters=marked)["Volumes"]]
        secrets = self.client("secretsmanager").list_secrets()["SecretList"]
        named = [one["Name"] for one in secrets if RUN_ID in {tag["Key"] for tag in one.get("Tags", [])}]
        return [*instances, *volumes, *named]


def new_marks() -> dict[str, str]:
    return {RUN_ID: f"run-{next(runs)}", **OTHER_MARKS}


def _environment(template: str, secret: str, image: str) -> Environment:
    return Environment(
        environment="dev",
        region="eu-north-1",
        alb_url="",
        alb_arn="",
        target_group_arn="",
        asg_name=f"{NAME}-asg",
        launch_template_id=template,
        ecr_repository_url=image.partition("@")[0],
        db_identifier=f"{NAME}-db",
        db_secret_arn=secret,
        backup_bucket="",
        export_role_arn="",
        export_kms_key_arn="",
        log_group_name=f"/aws/ec2/{NAME}",
        dashboard_name="",
        domain_name="",
        critical_alarm_names=(),
        warning_alarm_names=(),
    )
