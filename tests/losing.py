"""Lose an environment as whoever holds the keys could: through AWS's API, without Terraform and without a word."""

from collections.abc import Callable, Iterator
from typing import Any

from tasks.environment import PROJECT
from tests.stack import NAME

DB = f"{NAME}-db"
OWN = [{"Name": "tag:Project", "Values": [PROJECT]}, {"Name": "tag:Environment", "Values": ["dev"]}]
WAIT = {"Delay": 1, "MaxAttempts": 120}
Client = Callable[[str], Any]


def lose_everything(client: Client, final_snapshot: str = "") -> None:
    """What Terraform built, save for a bucket that is not empty, and what AWS keeps of what is deleted.

    Args:
        final_snapshot: its name, if there is one; else RDS retains the automated backups.
    """
    kept = {"FinalDBSnapshotIdentifier": final_snapshot} if final_snapshot else {"SkipFinalSnapshot": True}
    client("rds").delete_db_instance(DBInstanceIdentifier=DB, DeleteAutomatedBackups=bool(final_snapshot), **kept)
    _lose_machines(client)
    client("rds").get_waiter("db_instance_deleted").wait(DBInstanceIdentifier=DB, WaiterConfig=WAIT)
    client("rds").delete_db_subnet_group(DBSubnetGroupName=DB)
    client("rds").delete_db_parameter_group(DBParameterGroupName=f"{NAME}-pg15")
    _lose_network(client("ec2"))
    _lose_watching(client)
    _lose_rights(client)
    client("secretsmanager").delete_secret(SecretId=DB, RecoveryWindowInDays=30)


def _lose_machines(client: Client) -> None:
    autoscaling, ec2, elbv2 = client("autoscaling"), client("ec2"), client("elbv2")
    autoscaling.delete_auto_scaling_group(AutoScalingGroupName=f"{NAME}-asg", ForceDelete=True)
    ec2.delete_launch_template(LaunchTemplateName=f"{NAME}-lt")
    (balancer,) = elbv2.describe_load_balancers(Names=[f"{NAME}-alb"])["LoadBalancers"]
    elbv2.delete_load_balancer(LoadBalancerArn=balancer["LoadBalancerArn"])
    (group,) = elbv2.describe_target_groups(Names=[f"{NAME}-tg"])["TargetGroups"]
    elbv2.delete_target_group(TargetGroupArn=group["TargetGroupArn"])


def _lose_network(ec2: Any) -> None:
    _lose_instances(ec2)
    _lose_ways_out(ec2)
    for table in ec2.describe_route_tables(Filters=OWN)["RouteTables"]:
        for one in table["Associations"]:
            ec2.disassociate_route_table(AssociationId=one["RouteTableAssociationId"])
        ec2.delete_route_table(RouteTableId=table["RouteTableId"])
    for one in ec2.describe_subnets(Filters=OWN)["Subnets"]:
        ec2.delete_subnet(SubnetId=one["SubnetId"])
    for name in ("db", "app", "alb"):
        asked = [*OWN, {"Name": "group-name", "Values": [f"{NAME}-{name}-sg"]}]
        for one in ec2.describe_security_groups(Filters=asked)["SecurityGroups"]:
            ec2.delete_security_group(GroupId=one["GroupId"])
    for one in ec2.describe_vpcs(Filters=OWN)["Vpcs"]:
        ec2.delete_vpc(VpcId=one["VpcId"])


def _lose_instances(ec2: Any) -> None:
    instances = ec2.get_paginator("describe_instances").paginate(Filters=OWN).search("Reservations[].Instances[]")
    ids = [one["InstanceId"] for one in instances if one["State"]["Name"] != "terminated"]
    if ids:
        ec2.terminate_instances(InstanceIds=ids)
        ec2.get_waiter("instance_terminated").wait(InstanceIds=ids, WaiterConfig=WAIT)


def _lose_ways_out(ec2: Any) -> None:
    """What was lost before is still shown for a while."""
    for one in ec2.describe_nat_gateways(Filters=OWN)["NatGateways"]:
        if one["State"] == "available":
            ec2.delete_nat_gateway(NatGatewayId=one["NatGatewayId"])
    for one in ec2.describe_addresses(Filters=OWN)["Addresses"]:
        ec2.release_address(AllocationId=one["AllocationId"])
    endpoints = [
        one["VpcEndpointId"]
        for one in ec2.describe_vpc_endpoints(Filters=OWN)["VpcEndpoints"]
        if one["State"].lower() == "available"
    ]
    ec2.delete_vpc_endpoints(VpcEndpointIds=endpoints)
    for one in ec2.describe_internet_gateways(Filters=OWN)["InternetGateways"]:
        gateway = one["InternetGatewayId"]
        ec2.detach_internet_gateway(InternetGatewayId=gateway, VpcId=one["Attachments"][0]["VpcId"])
        ec2.delete_internet_gateway(InternetGatewayId=gateway)


def _lose_watching(client: Client) -> None:
    cloudwatch, logs, sns, ssm = client("cloudwatch"), client("logs"), client("sns"), client("ssm")
    alarms = cloudwatch.describe_alarms(AlarmNamePrefix=NAME)["MetricAlarms"]
    cloudwatch.delete_alarms(AlarmNames=[one["AlarmName"] for one in alarms])
    cloudwatch.delete_dashboards(DashboardNames=[f"{NAME}-dashboard"])
    for prefix in (f"/aws/ec2/{NAME}", f"/aws/rds/instance/{DB}"):
        for one in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
            logs.delete_log_group(logGroupName=one["logGroupName"])
    for one in sns.list_topics()["Topics"]:
        sns.delete_topic(TopicArn=one["TopicArn"])
    for name in _parameters(ssm):
        ssm.delete_parameter(Name=name)


def _parameters(ssm: Any) -> Iterator[str]:
    found = ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{PROJECT}/dev").search("Parameters[].Name")
    return (name for name in list(found) if not name.endswith("/verified-release"))


def _lose_rights(client: Client) -> None:
    iam, kms = client("iam"), client("kms")
    iam.remove_role_from_instance_profile(InstanceProfileName=f"{NAME}-ec2", RoleName=f"{NAME}-ec2")
    iam.delete_instance_profile(InstanceProfileName=f"{NAME}-ec2")
    for role in (f"{NAME}-ec2", f"{NAME}-rds-s3-export"):
        for one in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=role, PolicyArn=one["PolicyArn"])
        for name in iam.list_role_policies(RoleName=role)["PolicyNames"]:
            iam.delete_role_policy(RoleName=role, PolicyName=name)
        iam.delete_role(RoleName=role)
    alias = f"alias/{NAME}-database-backups"
    key = kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"]
    kms.delete_alias(AliasName=alias)
    kms.schedule_key_deletion(KeyId=key, PendingWindowInDays=7)
