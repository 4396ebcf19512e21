"""Accounts with planted waste beside things that are as they should be."""

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.account import hourly
from tests.restored import AMI_PARAMETER

DEV = [{"Key": "Environment", "Value": "dev"}]
PROD = [{"Key": "Environment", "Value": "prod"}]
OLD_DAYS = 120
DATABASE = {"Engine": "postgres", "AllocatedStorage": 20, "MasterUsername": "postgres", "StorageType": "gp3"}
GIB = 1024**3
IMAGES = 13
POLICY = {
    "rules": [
        {
            "rulePriority": 1,
            "selection": {"tagStatus": "any", "countType": "imageCountMoreThan", "countNumber": 5},
            "action": {"type": "expire"},
        }
    ]
}


@dataclass
class Waste:
    """Builds one account from a seed; `planted` is what is wrong with it, by kind and thing. The bill prices it."""

    client: Callable[..., Any]
    call_tool: Callable[..., Any]
    seed: int
    databases: bool = True
    planted: set[tuple[str, str]] = field(default_factory=set)
    _dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._dice = random.Random(self.seed)  # noqa: S311 - a repeatable account, not cryptography

    def build(self) -> "Waste":
        """Each kind of waste with even odds, its healthy like always. What is old comes first, then time passes."""
        vpc = self.client("ec2").create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            self.client("ec2").create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=zone)["Subnet"][
                "SubnetId"
            ]
            for n, zone in enumerate(("eu-north-1a", "eu-north-1b"))
        ]
        for plant in (self._volumes, self._snapshots, self._machine_images, self._balancers):
            plant(old=True)
        self.call_tool("POST", "/lab/age", {"days": OLD_DAYS})
        for plant in (self._volumes, self._snapshots, self._machine_images, self._balancers):
            plant(old=False)
        self._addresses()
        self._gateways()
        self._instances()
        self._logs()
        self._registry()
        if self.databases:
            self._databases()
        return self

    def _happens(self) -> bool:
        return self._dice.random() < 0.5

    def _plant(self, kind: str, thing: str) -> None:
        self.planted.add((kind, thing))

    def _volume(self, kind: str, tags: list[dict[str, str]]) -> str:
        size = self._dice.randrange(8, 900)
        named = {"TagSpecifications": [{"ResourceType": "volume", "Tags": tags}]} if tags else {}
        made = self.client("ec2").create_volume(AvailabilityZone="eu-north-1a", Size=size, VolumeType=kind, **named)
        return str(made["VolumeId"])

    def _volumes(self, *, old: bool) -> None:
        """A young unattached one may be between two uses, and prod's are not dev's to judge."""
        self._volume("gp3", PROD)
        if not old:
            self._volume("gp3", DEV)
            return
        for kind in ("gp2", "gp3"):
            if self._happens():
                self._plant("delete an unattached volume", self._volume(kind, self._dice.choice([DEV, []])))

    def _snapshots(self, *, old: bool) -> None:
        if not old or self._happens():
            volume = self._volume("gp3", PROD)
            specification = [{"ResourceType": "snapshot", "Tags": DEV}]
            made = self.client("ec2").create_snapshot(VolumeId=volume, TagSpecifications=specification)
            if old:
                self._plant("delete an old snapshot", made["SnapshotId"])

    def _machine_images(self, *, old: bool) -> None:
        """An old one that a launch template names is used, and a young one may be."""
        if not self._happens():
            return
        name = self._instance("t4g.nano", busy=80)
        tags = [{"ResourceType": "image", "Tags": DEV}]
        images = [
            self.client("ec2").create_image(InstanceId=name, Name=f"{kind}-{old}", TagSpecifications=tags)["ImageId"]
            for kind in ("forgotten", "named")
        ]
        self.client("ec2").terminate_instances(InstanceIds=[name])
        self.client("ec2").create_launch_template(
            LaunchTemplateName=f"named-{old}", LaunchTemplateData={"ImageId": images[1]}
        )
        if old:
            self._plant("deregister an old machine image", images[0])

    def _balancers(self, *, old: bool) -> None:
        """An old one without requests is idle; one with requests, or a young one, is not."""
        for name, idle in (("idle", True), ("busy", False)):
            if idle and old and not self._happens():
                continue
            made = self.client("elbv2").create_load_balancer(
                Name=f"{name}-{'old' if old else 'new'}", Subnets=self.subnets, Tags=DEV
            )
            arn = made["LoadBalancers"][0]["LoadBalancerArn"]
            if idle and old:
                self._plant("delete an idle load balancer", arn)
            elif old:
                dimension = {"LoadBalancer": arn.partition("loadbalancer/")[2]}
                hourly(self.client, "AWS/ApplicationELB", "RequestCount", dimension, lambda _: 100)

    def _addresses(self) -> None:
        for _ in range(self._dice.randrange(3)):
            name = self.client("ec2").allocate_address(Domain="vpc")["AllocationId"]
            self._plant("release an unused address", name)

    def _gateways(self) -> None:
        names = []
        for subnet in self.subnets[: 2 if self._happens() else 1]:
            specification = [{"ResourceType": "natgateway", "Tags": DEV}]
            address = self.client("ec2").allocate_address(Domain="vpc")["AllocationId"]
            made = self.client("ec2").create_nat_gateway(
                SubnetId=subnet, AllocationId=address, TagSpecifications=specification
            )
            names.append(made["NatGateway"]["NatGatewayId"])
        if len(names) > 1:
            self._plant("share one NAT gateway", ",".join(sorted(names)))

    def _instance(self, kind: str, busy: int, disk: str = "gp3") -> str:
        image = self.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"]
        mapping = [
            {"DeviceName": "/dev/xvda", "Ebs": {"VolumeType": disk, "VolumeSize": 20, "DeleteOnTermination": True}}
        ]
        made = self.client("ec2").run_instances(
            ImageId=image,
            InstanceType=kind,
            MinCount=1,
            MaxCount=1,
            SubnetId=self.subnets[0],
            BlockDeviceMappings=mapping,
            TagSpecifications=[{"ResourceType": one, "Tags": DEV} for one in ("instance", "volume")],
        )
        name: str = made["Instances"][0]["InstanceId"]
        hourly(self.client, "AWS/EC2", "CPUUtilization", {"InstanceId": name}, lambda at: busy if at.hour == 9 else 3)
        return name

    def _instances(self) -> None:
        self._instance("t4g.small", busy=80)
        for kind, now, busy in (
            ("use smaller instances", "t4g.small", 20),
            ("use Graviton", "t3.micro", 80),
            ("use a newer generation", "t2.micro", 80),
        ):
            if self._happens():
                self._plant(kind, self._instance(now, busy))
        if self._happens():
            name = self._instance("t4g.nano", busy=80, disk="gp2")
            found = self.client("ec2").describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [name]}])[
                "Volumes"
            ]
            self._plant("make gp2 gp3", found[0]["VolumeId"])

    def _logs(self) -> None:
        logs = self.client("logs")
        logs.create_log_group(logGroupName="/kept/for/a/while")
        logs.put_retention_policy(logGroupName="/kept/for/a/while", retentionInDays=14)
        if self._happens():
            logs.create_log_group(logGroupName="/kept/for/ever")
            self._plant("let old logs expire", "/kept/for/ever")

    def _registry(self) -> None:
        """A repository that keeps all of its images; one with few; and one that ends them by itself."""
        ecr = self.client("ecr")
        for name, images in (("few", 3), ("ended", IMAGES), *((("endless", IMAGES),) if self._happens() else ())):
            ecr.create_repository(repositoryName=name)
            push(ecr, name, images)
        ecr.put_lifecycle_policy(repositoryName="ended", lifecyclePolicyText=json.dumps(POLICY))
        if ecr.describe_repositories()["repositories"][2:]:
            self._plant("let old images expire", "endless")

    def _database(self, name: str, kind: str, busy: int, *, multi_az: bool = False) -> None:
        self.client("rds").create_db_instance(
            DBInstanceIdentifier=name,
            DBInstanceClass=kind,
            MultiAZ=multi_az,
            MasterUserPassword="first-password",
            BackupRetentionPeriod=0,
            Tags=DEV,
            **DATABASE,
        )
        which = {"DBInstanceIdentifier": name}
        for metric, value in (("CPUUtilization", busy), ("FreeableMemory", 1.5 * GIB), ("DatabaseConnections", 5)):
            hourly(self.client, "AWS/RDS", metric, which, lambda _, value=value: value)

    def _databases(self) -> None:
        self._database("busy", "db.t4g.small", busy=70)
        for kind, now, busy in (
            ("use a smaller database", "db.t4g.small", 20),
            ("use a database on Graviton", "db.t3.micro", 70),
            ("keep dev's database in one zone", "db.t4g.micro", 70),
        ):
            if self._happens():
                name = kind.split()[-1].lower()
                self._database(name, now, busy, multi_az=name == "zone")
                self._plant(kind, name)


def push(ecr: Any, repository: str, images: int) -> None:
    """Releases that say that they are large; what is really stored is one byte each."""
    layer = f"sha256:{hashlib.sha256(b'0').hexdigest()}"
    upload = ecr.initiate_layer_upload(repositoryName=repository)["uploadId"]
    ecr.upload_layer_part(
        repositoryName=repository, uploadId=upload, partFirstByte=0, partLastByte=0, layerPartBlob=b"0"
    )
    ecr.complete_layer_upload(repositoryName=repository, uploadId=upload, layerDigests=[layer])
    kind = "application/vnd.oci.image.manifest.v1+json"
    for number in range(images):
        blob = {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": GIB + number}
        manifest = json.dumps({"schemaVersion": 2, "mediaType": kind, "layers": [blob]})
        ecr.put_image(repositoryName=repository, imageManifest=manifest, imageTag=f"1.0.{number}")
