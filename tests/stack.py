"""An environment built by boto3, as Terraform would have built it but without its minutes of fixed waits."""

import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from lab.image import build
from lab.push import push
from tasks import acm, instance_refresh, launch_template, state_backend
from tasks.environment import PROJECT, describe_environment
from tasks.instance_refresh import Refresh
from tasks.rollout import RolloutPlan, plan_rollout

ROOT = Path(__file__).parents[1]
LIGHT = ROOT / "tests" / "images" / "light"
NAME = f"{PROJECT}-dev"
DOMAIN = f"dev.{PROJECT}.example.com"  # as terraform.tfvars says
SERVING_SECONDS = 60
ALARM_SECONDS = 20
# Of two critical alarms: Terraform's, and one that a test raises without breaking anything.
UNHEALTHY, DRILL = f"{NAME}-unhealthy-hosts", f"{NAME}-drill"


@dataclass
class Stack:
    """What Terraform would have built, as its tests look at it."""

    clients: Callable[[str], Any]
    lab: dict[str, Any]
    images: dict[str, str] = field(default_factory=dict)
    url: str = ""
    target_group: str = ""
    template: str = ""
    balancer: str = ""
    certificate: str = ""
    subnets: list[str] = field(default_factory=list)
    asg: str = f"{NAME}-asg"
    secret: str = "arn:aws:secretsmanager:eu-north-1:123456789012:secret:none"
    source: Path = LIGHT
    grace_seconds: int = 60  # of AWS's; the application itself takes longer than the small release to start

    def push(self, version: str, behaviour: str = "good", **labels: str) -> str:
        """Push a release; its digest."""
        if version not in self.images:
            ecr = self.clients("ecr")
            self.images[version] = push_release(ecr, self.source, version, BEHAVIOUR=behaviour, **labels)
        return self.images[version].partition("@")[2]

    def group(self) -> dict[str, Any]:
        found = self.clients("autoscaling").describe_auto_scaling_groups(AutoScalingGroupNames=[self.asg])
        group: dict[str, Any] = found["AutoScalingGroups"][0]
        return group

    def template_versions(self) -> list[int]:
        found = self.clients("ec2").describe_launch_template_versions(LaunchTemplateId=self.template)
        return sorted(v["VersionNumber"] for v in found["LaunchTemplateVersions"])

    def running_versions(self) -> set[str]:
        """The launch template versions that the group's instances were launched from."""
        return {i["LaunchTemplate"]["Version"] for i in self.group()["Instances"]}

    def refreshes(self) -> list[dict[str, Any]]:
        found = self.clients("autoscaling").describe_instance_refreshes(AutoScalingGroupName=self.asg)
        return list(found["InstanceRefreshes"])

    def served(self, requests: int = 20) -> set[str]:
        """What users see: the versions that answer."""
        with httpx.Client(base_url=self.url, verify=False) as user:
            return {user.get("/health").raise_for_status().json()["version"] for _ in range(requests)}

    def calls(self, name: str) -> int:
        return int(httpx.get(f"{self.lab['url']}/lab/counts").json().get(name, 0))

    def fault(self, **fault: Any) -> None:
        """Spoil calls of AWS's API, until the lab is forgotten."""
        httpx.post(f"{self.lab['url']}/lab/faults", json=fault).raise_for_status()

    def raise_alarm(self) -> str:
        """Give the drill's alarm what it is there to see, and wait until it is raised; it stays so. Its name."""
        cloudwatch = self.clients("cloudwatch")
        cloudwatch.put_metric_data(Namespace=NAME, MetricData=[{"MetricName": "Drill", "Value": 1}])
        deadline = time.monotonic() + ALARM_SECONDS
        while not cloudwatch.describe_alarms(AlarmNames=[DRILL], StateValue="ALARM")["MetricAlarms"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{DRILL} is not in ALARM after {ALARM_SECONDS} s")
            time.sleep(0.1)
        return DRILL

    def wait_until(self, is_so: Callable[[], Any], seconds: float = SERVING_SECONDS) -> None:
        deadline = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > deadline:
                raise TimeoutError(f"it did not become so in {seconds} s")
            time.sleep(0.1)

    def wait_until_serving(self, count: int) -> None:
        deadline = time.monotonic() + SERVING_SECONDS
        while time.monotonic() < deadline:
            found = self.clients("elbv2").describe_target_health(TargetGroupArn=self.target_group)
            states = [t["TargetHealth"]["State"] for t in found["TargetHealthDescriptions"]]
            in_service = [i for i in self.group()["Instances"] if i["LifecycleState"] == "InService"]
            if states == ["healthy"] * count and len(in_service) == count:
                return
            time.sleep(0.1)
        raise TimeoutError(f"the stack does not serve after {SERVING_SECONDS} s: {states}")


def push_release(ecr: Any, source: Path, version: str, **arguments: str) -> str:
    """As `docker build` and `docker push`: repository@digest."""
    build_args = {"VERSION": version, **arguments}
    image = build(source, dockerfile=source / "Dockerfile", target="app", build_args=build_args)
    return f"{push(ecr, PROJECT, version, image)}@{image.manifest.digest}"


def build_stack(
    lab: dict[str, Any],
    clients: Callable[[str], Any],
    instances: int = 2,
    database: Callable[[Stack], str] | None = None,
) -> Stack:
    """Instances of release 1.0.0 behind a load balancer, with the parameters through which the flows find them.

    Args:
        database: makes one for the application itself, which then runs instead of the small release; its secret's ARN.
    """
    stack = Stack(clients, lab)
    if database:
        stack.source, stack.grace_seconds = ROOT, 3000
    clients("ecr").create_repository(
        repositoryName=PROJECT, imageTagMutability="IMMUTABLE", imageScanningConfiguration={"scanOnPush": True}
    )
    stack.push("1.0.0")
    state_backend.ensure_lock_table.fn()
    clients("logs").create_log_group(logGroupName=f"/aws/ec2/{NAME}")
    _build_network(stack)
    if database:
        stack.secret = database(stack)
    _build_group(stack, instances)
    _build_alarms(stack)
    _publish_outputs(stack)
    stack.wait_until_serving(instances)
    return stack


def _build_network(stack: Stack) -> None:
    ec2, elbv2 = stack.clients("ec2"), stack.clients("elbv2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    zones = ("eu-north-1a", "eu-north-1b")
    stack.subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{i}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for i, zone in enumerate(zones)
    ]
    balancer = elbv2.create_load_balancer(Name=f"{NAME}-alb", Subnets=stack.subnets)["LoadBalancers"][0]
    stack.balancer = balancer["LoadBalancerArn"]
    stack.url = f"https://{balancer['DNSName']}"
    stack.certificate = acm.import_self_signed.fn(DOMAIN).arn
    stack.target_group = elbv2.create_target_group(
        Name=f"{NAME}-tg",
        Protocol="HTTP",
        Port=5000,
        VpcId=vpc,
        HealthCheckPath="/health",
        HealthCheckIntervalSeconds=5,
        HealthCheckTimeoutSeconds=2,
        HealthyThresholdCount=2,
        UnhealthyThresholdCount=2,
    )["TargetGroups"][0]["TargetGroupArn"]
    elbv2.modify_target_group_attributes(
        TargetGroupArn=stack.target_group,
        Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "10"}],
    )
    elbv2.create_listener(
        LoadBalancerArn=stack.balancer,
        Protocol="HTTP",
        Port=80,
        DefaultActions=[
            {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
        ],
    )
    elbv2.create_listener(
        LoadBalancerArn=stack.balancer,
        Protocol="HTTPS",
        Port=443,
        Certificates=[{"CertificateArn": stack.certificate}],
        DefaultActions=[{"Type": "forward", "TargetGroupArn": stack.target_group}],
    )


def _build_group(stack: Stack, instances: int) -> None:
    user_data = (
        "#!/bin/bash\ndocker run -d --restart=always -p 5000:5000 --log-driver=awslogs"
        f" --log-opt awslogs-group=/aws/ec2/{NAME} --log-opt awslogs-stream=$INSTANCE_ID"
        f" -e INSTANCE_ID=$INSTANCE_ID -e AWS_REGION=eu-north-1 -e DB_SECRET_ARN={stack.secret}"
        f" {stack.images['1.0.0']}\n"
    )
    ami = stack.clients("ssm").get_parameter(
        Name="/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"
    )["Parameter"]["Value"]
    stack.template = stack.clients("ec2").create_launch_template(
        LaunchTemplateName=f"{NAME}-lt",
        LaunchTemplateData={
            "ImageId": ami,
            "InstanceType": "t3.micro",
            "UserData": base64.b64encode(user_data.encode()).decode(),
        },
    )["LaunchTemplate"]["LaunchTemplateId"]
    stack.clients("autoscaling").create_auto_scaling_group(
        AutoScalingGroupName=stack.asg,
        MinSize=1,
        MaxSize=2 * instances + 2,
        DesiredCapacity=instances,
        LaunchTemplate={"LaunchTemplateId": stack.template, "Version": "1"},
        VPCZoneIdentifier=",".join(stack.subnets),
        TargetGroupARNs=[stack.target_group],
        HealthCheckType="ELB",
        HealthCheckGracePeriod=stack.grace_seconds,
        DefaultInstanceWarmup=10,
    )


def _build_alarms(stack: Stack) -> None:
    raised = {
        "Statistic": "Maximum",
        "Period": 60,
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    target_group = {"Name": "TargetGroup", "Value": stack.target_group.rsplit(":", 1)[1]}
    put_metric_alarm = stack.clients("cloudwatch").put_metric_alarm
    put_metric_alarm(
        AlarmName=UNHEALTHY,
        Namespace="AWS/ApplicationELB",
        MetricName="UnHealthyHostCount",
        Dimensions=[{"Name": "LoadBalancer", "Value": stack.balancer.split("loadbalancer/")[1]}, target_group],
        EvaluationPeriods=5,
        TreatMissingData="notBreaching",
        **raised,
    )
    put_metric_alarm(
        AlarmName=DRILL,
        Namespace=NAME,
        MetricName="Drill",
        EvaluationPeriods=1,
        TreatMissingData="ignore",
        **raised,
    )


def _publish_outputs(stack: Stack) -> None:
    outputs = {
        "region": "eu-north-1",
        "alb_url": stack.url,
        "alb_arn": stack.balancer,
        "target_group_arn": stack.target_group,
        "asg_name": stack.asg,
        "launch_template_id": stack.template,
        "ecr_repository_url": stack.images["1.0.0"].partition("@")[0],
        "db_identifier": f"{NAME}-db",
        "db_secret_arn": stack.secret,
        "backup_bucket": f"{NAME}-database-backups-123456789012",
        "export_role_arn": f"arn:aws:iam::123456789012:role/{NAME}-rds-s3-export",
        "export_kms_key_arn": "arn:aws:kms:eu-north-1:123456789012:key/none",
        "log_group_name": f"/aws/ec2/{NAME}",
        "dashboard_name": f"{NAME}-dashboard",
        "domain_name": DOMAIN,
        "ssl_certificate_arn": stack.certificate,
        "critical_alarm_names": json.dumps([UNHEALTHY, DRILL]),
        "warning_alarm_names": json.dumps([]),
    }
    for name, value in outputs.items():
        stack.clients("ssm").put_parameter(Name=f"/{PROJECT}/dev/{name}", Value=value, Type="String")


def publish_ami(stack: Stack, *fixes: str) -> str:
    """AWS publishes a newer Amazon Linux 2023; its id."""
    published = httpx.post(f"{stack.lab['url']}/lab/amis", json={"fixes": list(fixes)}, timeout=60)
    return str(published.raise_for_status().json()["ImageId"])


def begin_rollout(stack: Stack, image: str, plan: RolloutPlan | None = None) -> Refresh:
    """What is left of a deployment that was killed behind StartInstanceRefresh."""
    where, group = describe_environment.fn("dev"), stack.group()
    current = launch_template.describe_version.fn(stack.template, int(group["LaunchTemplate"]["Version"]))
    wanted = launch_template.Configuration(f"{where.ecr_repository_url}@{image}", current.configuration.ami_id)
    version = launch_template.create_version.fn(current, wanted)
    at_once = plan_rollout(len(group["Instances"]), 100, 0, 0)
    return instance_refresh.start_instance_refresh.fn(where, version.number, plan or at_once)


def mirror_as_prod(clients: Callable[[str], Any]) -> None:
    """Let the same stack be found as prod too, which asks a person."""
    ssm = clients("ssm")
    for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{PROJECT}/dev"):
        for one in page["Parameters"]:
            name = one["Name"].replace("/dev/", "/prod/")
            ssm.put_parameter(Name=name, Value=one["Value"], Type="String", Overwrite=True)
