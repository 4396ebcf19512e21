"""Auto Scaling groups through the API: they keep their capacity, and say why."""

import re
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import Stack
from tests.lab.groups import Account, eventually


@pytest.fixture(scope="module")
def account(lab):
    return Account(lab)


@pytest.fixture
def client(account):
    return account.client


@pytest.fixture
def group(account):
    return account.group()


def refusal(call, **parameters):
    with pytest.raises(ClientError) as caught:
        call(**parameters)
    return caught.value.response["Error"]["Code"], caught.value.response["Error"]["Message"]


def test_a_group_launches_its_instances_in_every_availability_zone(group):
    group.create(6)
    assert set(Counter(one["AvailabilityZone"] for one in group.instances()).values()) == {2}
    assert {one["LaunchTemplate"]["Version"] for one in group.instances()} == {"1"}


def test_an_instance_carries_the_tags_and_the_template_of_its_group(group, client):
    tags = [
        {"Key": "Name", "Value": "app", "PropagateAtLaunch": True},
        {"Key": "Owner", "Value": "x", "PropagateAtLaunch": False},
    ]
    group.create(1, Tags=tags)
    instance = group.ec2.describe_instances(InstanceIds=group.ids())["Reservations"][0]["Instances"][0]
    carried = {one["Key"]: one["Value"] for one in instance["Tags"]}
    assert carried["Name"] == "app"
    assert carried["aws:autoscaling:groupName"] == group.name
    assert carried["aws:ec2launchtemplate:version"] == "1"
    assert "Owner" not in carried
    assert (instance["InstanceType"], instance["ImageId"]) == ("t3.micro", group.ami)


def test_the_activities_tell_what_happened_newest_first(group):
    group.create(1)
    group.call("set_desired_capacity", DesiredCapacity=2)
    group.wait_in_service(2)
    newest, oldest = group.activities()
    assert newest["Description"] == f"Launching a new EC2 instance: {group.ids()[1]}"
    assert (newest["StatusCode"], newest["Progress"]) == ("Successful", 100)
    assert "explicitly set group desired capacity changing the desired capacity from 1 to 2." in newest["Cause"]
    assert "increasing the capacity from 1 to 2." in newest["Cause"]
    assert "created an AutoScalingGroup changing the desired capacity from 0 to 1." in oldest["Cause"]
    assert oldest["StartTime"] <= oldest["EndTime"] <= newest["StartTime"]


def test_the_activities_come_in_pages(group):
    group.create(5)
    pages = group.autoscaling.get_paginator("describe_scaling_activities").paginate(
        AutoScalingGroupName=group.name, PaginationConfig={"PageSize": 2}
    )
    assert [len(page["Activities"]) for page in pages] == [2, 2, 1]


@pytest.mark.parametrize(
    ("desired", "words"),
    [
        (20, "New SetDesiredCapacity value 20 is above max value 15 for the AutoScalingGroup."),
        (0, "New SetDesiredCapacity value 0 is below min value 1 for the AutoScalingGroup."),
    ],
)
def test_the_desired_capacity_stays_within_the_limits(group, desired, words):
    group.create(1, low=1, high=15)
    found = refusal(group.call, operation="set_desired_capacity", DesiredCapacity=desired)
    assert found == ("ValidationError", words)
    assert group.describe()["DesiredCapacity"] == 1


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("set_desired_capacity", {"DesiredCapacity": 1}),
        ("update_auto_scaling_group", {"MinSize": 1}),
        ("delete_auto_scaling_group", {}),
        ("start_instance_refresh", {}),
        ("describe_scaling_activities", {}),
        ("suspend_processes", {}),
        ("put_scaling_policy", {"PolicyName": "p", "AdjustmentType": "ChangeInCapacity", "ScalingAdjustment": 1}),
    ],
)
def test_an_unknown_group_is_refused(group, operation, parameters):
    group.name = "nobody"
    code, words = refusal(group.call, operation=operation, **parameters)
    assert code == "ValidationError"
    assert words.startswith("AutoScalingGroup name not found - ")


def test_impossible_sizes_are_refused(group):
    assert refusal(group.create, desired=1, low=3, high=2)[1] == (
        "Max bound, 2, must be greater than or equal to min bound, 3"
    )
    assert refusal(group.create, desired=5, low=1, high=2)[1] == (
        "Desired capacity:5 must be between the specified min size:1 and max size:2"
    )
    assert not group.exists()


def test_a_template_that_does_not_exist_is_refused(group):
    code, words = refusal(group.create, desired=1, version="7")
    assert code == "ValidationError"
    assert words.startswith("You must use a valid fully-formed launch template.")


def test_a_second_group_of_the_same_name_is_refused(group):
    group.create(0)
    assert refusal(group.create, desired=0)[0] == "AlreadyExists"


def test_new_limits_move_the_desired_capacity(group):
    group.create(2)
    group.call("update_auto_scaling_group", MinSize=3)
    group.wait_in_service(3)
    group.call("update_auto_scaling_group", MinSize=0, MaxSize=1)
    group.wait_in_service(1)
    assert group.describe()["DesiredCapacity"] == 1


def test_a_scale_in_takes_the_oldest_template_and_spares_what_is_protected(group):
    group.create(2)
    protected, _ = group.ids()
    group.call("set_instance_protection", InstanceIds=[protected], ProtectedFromScaleIn=True)
    group.call("update_auto_scaling_group", LaunchTemplate=group.version(group.new_version()), DesiredCapacity=6)
    group.wait_in_service(6)
    group.call("set_desired_capacity", DesiredCapacity=1)
    group.wait_in_service(1)
    assert group.ids() == [protected]


def test_a_terminated_instance_is_replaced(group):
    group.create(2)
    lost, kept = group.ids()
    group.ec2.terminate_instances(InstanceIds=[lost])
    eventually(lambda: lost not in group.ids())
    group.wait_in_service(2)
    assert kept in group.ids()
    causes = [one["Cause"] for one in group.activities()]
    assert any("an EC2 health check indicating it has been terminated or stopped." in one for one in causes)
    assert any(
        "an instance was started in response to an unhealthy instance needing to be replaced." in one for one in causes
    )


def test_an_instance_set_unhealthy_is_replaced_unless_it_is_in_its_grace_period(group):
    group.create(1, HealthCheckGracePeriod=3600)
    sick = group.ids()[0]
    group.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy")
    time.sleep(0.3)
    assert group.ids() == [sick]
    group.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    eventually(lambda: sick not in group.ids())
    group.wait_in_service(1)


def test_a_maintenance_policy_launches_before_it_terminates(group):
    policy = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 200}
    group.create(1, InstanceMaintenancePolicy=policy)
    assert group.describe()["InstanceMaintenancePolicy"] == policy
    sick = group.ids()[0]
    group.autoscaling.set_instance_health(InstanceId=sick, HealthStatus="Unhealthy", ShouldRespectGracePeriod=False)
    eventually(lambda: sick not in group.ids("InService"))
    assert len(group.ids("InService")) == 1
    starts = {one["Description"].split(" -")[0].split(":")[0]: one["StartTime"] for one in reversed(group.activities())}
    assert starts["Launching a new EC2 instance"] < starts["Terminating EC2 instance"]


def behind_a_load_balancer(group, client):
    stack = Stack(client, group.name)
    stack.group = stack.target_group(f"{group.name}-instances", TargetType="instance")
    stack.listen()
    group.subnets = stack.subnets
    return stack


def test_a_failed_load_balancer_check_counts_after_the_grace_period(group, client):
    stack = behind_a_load_balancer(group, client)
    group.create(1, HealthCheckType="ELB", HealthCheckGracePeriod=100, TargetGroupARNs=[stack.group])
    began, sick = time.monotonic(), group.ids()[0]
    assert (
        stack.elbv2.describe_target_health(TargetGroupArn=stack.group)["TargetHealthDescriptions"][0]["Target"]["Id"]
        == sick
    )
    eventually(
        lambda: group.describe()["Instances"][0]["HealthStatus"] == "Unhealthy" or sick not in group.ids("InService")
    )
    assert time.monotonic() - began > 1.5
    eventually(lambda: sick not in group.ids())
    assert any("an ELB system health check failure." in one["Cause"] for one in group.activities())


def test_an_instance_ends_after_its_target_has_drained(group, client):
    stack = behind_a_load_balancer(group, client)
    group.create(1, TargetGroupARNs=[stack.group])
    leaving = group.ids()[0]
    group.call("set_desired_capacity", DesiredCapacity=0)
    seen = []

    def look():
        found = group.ec2.describe_instances(InstanceIds=[leaving])["Reservations"][0]["Instances"][0]["State"]["Name"]
        health = stack.elbv2.describe_target_health(TargetGroupArn=stack.group)["TargetHealthDescriptions"]
        seen.append((bool(health) and health[0]["TargetHealth"]["State"] == "draining", found))
        return not group.ids()

    eventually(look)
    assert (True, "running") in seen
    assert all(state == "running" for draining, state in seen if draining)


def test_standby_takes_an_instance_out_and_back(group):
    group.create(2)
    resting, _ = group.ids()
    answer = group.call("enter_standby", InstanceIds=[resting], ShouldDecrementDesiredCapacity=True)
    cause = answer["Activities"][0]["Cause"]
    assert "was moved to standby in response to a user request, shrinking the capacity from 2 to 1." in cause
    eventually(lambda: group.ids("Standby") == [resting])
    assert group.describe()["DesiredCapacity"] == 1
    group.call("exit_standby", InstanceIds=[resting])
    group.wait_in_service(2)
    assert group.describe()["DesiredCapacity"] == 2


def test_standby_below_the_minimum_is_refused(group):
    group.create(2, low=2)
    code, words = refusal(
        group.call, operation="enter_standby", InstanceIds=group.ids()[:1], ShouldDecrementDesiredCapacity=True
    )
    assert code == "ValidationError"
    assert "has min-size=2, max-size=20, and desired-size=2. To place into standby 1 instance" in words


def test_a_detached_instance_goes_on_running_and_can_be_attached_again(group):
    group.create(2)
    leaving, _ = group.ids()
    group.call("detach_instances", InstanceIds=[leaving], ShouldDecrementDesiredCapacity=True)
    group.wait_in_service(1)
    found = group.ec2.describe_instances(InstanceIds=[leaving])["Reservations"][0]["Instances"][0]
    assert found["State"]["Name"] == "running"
    assert "aws:autoscaling:groupName" not in {one["Key"] for one in found["Tags"]}
    group.call("attach_instances", InstanceIds=[leaving])
    assert leaving in group.ids("InService")
    assert group.describe()["DesiredCapacity"] == 2


def test_terminating_an_instance_replaces_it_or_shrinks_the_group(group):
    group.create(2, low=1)
    first, second = group.ids()
    terminate = group.autoscaling.terminate_instance_in_auto_scaling_group
    activity = terminate(InstanceId=first, ShouldDecrementDesiredCapacity=False)["Activity"]
    assert activity["Description"] == f"Terminating EC2 instance: {first}"
    eventually(lambda: first not in group.ids())
    group.wait_in_service(2)
    terminate(InstanceId=second, ShouldDecrementDesiredCapacity=True)
    eventually(lambda: second not in group.ids())
    group.wait_in_service(1)
    code, words = refusal(terminate, InstanceId=group.ids()[0], ShouldDecrementDesiredCapacity=True)
    assert (code, words[:46]) == ("ValidationError", "Currently, desiredSize equals minSize (1). Ter")
    assert refusal(terminate, InstanceId="i-0", ShouldDecrementDesiredCapacity=True)[1] == (
        "Instance Id not found - No managed instance found for instance ID: i-0"
    )


def test_suspended_processes_wait(group):
    group.create(1)
    group.call("suspend_processes", ScalingProcesses=["Launch", "HealthCheck"])
    group.call("set_desired_capacity", DesiredCapacity=2)
    time.sleep(0.4)
    assert len(group.ids()) == 1
    group.call("resume_processes", ScalingProcesses=["Launch"])
    group.wait_in_service(2)
    group.ec2.terminate_instances(InstanceIds=group.ids()[:1])
    time.sleep(0.4)
    assert len(group.ids("InService")) == 2
    group.call("resume_processes")
    eventually(lambda: len(group.activities()) == 4)


def test_a_group_with_instances_is_deleted_by_force_only(group):
    group.create(2)
    assert refusal(group.call, operation="delete_auto_scaling_group")[0] == "ResourceInUse"
    instances = group.ids()
    group.call("delete_auto_scaling_group", ForceDelete=True)
    eventually(lambda: not group.exists())
    found = group.ec2.describe_instances(InstanceIds=instances)["Reservations"]
    assert {one["State"]["Name"] for each in found for one in each["Instances"]} == {"terminated"}
    kept = group.autoscaling.describe_scaling_activities(AutoScalingGroupName=group.name, IncludeDeletedGroups=True)
    assert {one["AutoScalingGroupState"] for one in kept["Activities"]} == {"Deleted"}


def test_an_image_that_vanished_fails_the_launches_until_it_is_mended(group):
    image = group.ec2.copy_image(SourceImageId=group.ami, SourceRegion="eu-north-1", Name="copy")["ImageId"]
    version = group.new_version(ImageId=image)
    group.create(0, version=version)
    group.ec2.deregister_image(ImageId=image)
    group.call("set_desired_capacity", DesiredCapacity=1)
    eventually(lambda: len(group.activities()) >= 2)
    failed = group.activities()[0]
    assert failed["StatusCode"] == "Failed"
    assert failed["StatusMessage"] == f"The image id '[{image}]' does not exist. Launching EC2 instance failed."
    gaps = [one["StartTime"] for one in group.activities()]
    assert timedelta(seconds=0.2) < gaps[0] - gaps[1] < timedelta(seconds=2)
    group.call("update_auto_scaling_group", LaunchTemplate=group.version("1"))
    group.wait_in_service(1)
    assert group.versions() == ["1"]


def test_dollar_latest_is_resolved_at_each_launch(group):
    group.create(1, version="$Latest")
    group.new_version()
    group.call("set_desired_capacity", DesiredCapacity=2)
    group.wait_in_service(2)
    assert group.versions() == ["1", "2"]
    assert group.describe()["LaunchTemplate"]["Version"] == "$Latest"


def test_a_cooldown_is_honoured_when_asked(group):
    group.create(1, DefaultCooldown=200)
    code, words = refusal(group.call, operation="set_desired_capacity", DesiredCapacity=2, HonorCooldown=True)
    assert code == "ScalingActivityInProgress"
    assert re.fullmatch(r"Scaling activity [0-9a-f-]{36} is in progress and blocks this action.", words)
    group.call("set_desired_capacity", DesiredCapacity=2)
    group.wait_in_service(2)


def test_settings_that_terraform_reads_back_are_kept(group):
    group.create(0, DefaultInstanceWarmup=120, HealthCheckGracePeriod=90, MaxInstanceLifetime=86400)
    found = group.describe()
    assert (found["DefaultInstanceWarmup"], found["HealthCheckGracePeriod"]) == (120, 90)
    group.call(
        "update_auto_scaling_group",
        DefaultInstanceWarmup=-1,
        DefaultCooldown=10,
        TerminationPolicies=["OldestInstance"],
    )
    found = group.describe()
    assert "DefaultInstanceWarmup" not in found
    assert (found["DefaultCooldown"], found["TerminationPolicies"]) == (10, ["OldestInstance"])


TRACK_CPU = {
    "PolicyType": "TargetTrackingScaling",
    "TargetTrackingConfiguration": {
        "PredefinedMetricSpecification": {"PredefinedMetricType": "ASGAverageCPUUtilization"},
        "TargetValue": 60.0,
    },
}


def test_target_tracking_brings_its_alarms_and_takes_them_along(group, client):
    group.create(0)
    answer = group.call("put_scaling_policy", PolicyName="cpu", **TRACK_CPU)
    names = sorted(one["AlarmName"] for one in answer["Alarms"])
    assert re.fullmatch(rf"TargetTracking-{group.name}-AlarmHigh-[0-9a-f-]{{36}}", names[0])
    assert re.fullmatch(rf"TargetTracking-{group.name}-AlarmLow-[0-9a-f-]{{36}}", names[1])
    policy = group.call("describe_policies")["ScalingPolicies"][0]
    assert policy["PolicyARN"] == answer["PolicyARN"]
    assert sorted(one["AlarmName"] for one in policy["Alarms"]) == names
    assert policy["Enabled"] is True
    assert "PredictiveScalingConfiguration" not in policy
    alarms = client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert sorted((one["Threshold"], one["EvaluationPeriods"], one["MetricName"]) for one in alarms) == [
        (54.0, 15, "CPUUtilization"),
        (60.0, 3, "CPUUtilization"),
    ]
    group.call("delete_policy", PolicyName="cpu")
    assert not client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    assert not group.call("describe_policies")["ScalingPolicies"]


def test_an_alarm_of_a_policy_scales_the_group(group, client):
    group.create(1)
    answer = group.call("put_scaling_policy", PolicyName="cpu", EstimatedInstanceWarmup=600, **TRACK_CPU)
    high = next(one["AlarmName"] for one in answer["Alarms"] if "AlarmHigh" in one["AlarmName"])
    client("cloudwatch").set_alarm_state(AlarmName=high, StateValue="ALARM", StateReason="test")
    group.wait_in_service(2)
    assert f"a monitor alarm {high} in state ALARM triggered policy cpu" in group.activities()[0]["Cause"]


def test_policies_of_the_same_name_belong_to_their_groups(group, account):
    group.create(0)
    other = account.group().create(0)
    for one in (group, other):
        one.call("put_scaling_policy", PolicyName="cpu", **TRACK_CPU)
    other.call("delete_policy", PolicyName="cpu")
    assert len(group.call("describe_policies")["ScalingPolicies"]) == 1
    assert not other.call("describe_policies")["ScalingPolicies"]


def test_group_metrics_reach_cloudwatch_when_enabled(group, client):
    group.create(2)
    group.call("enable_metrics_collection", Granularity="1Minute", Metrics=["GroupInServiceInstances", "GroupMaxSize"])
    assert len(group.describe()["EnabledMetrics"]) == 2
    cloudwatch = client("cloudwatch")

    def value(name):
        found = cloudwatch.get_metric_statistics(
            Namespace="AWS/AutoScaling",
            MetricName=name,
            Dimensions=[{"Name": "AutoScalingGroupName", "Value": group.name}],
            StartTime=datetime.now(UTC) - timedelta(minutes=5),
            EndTime=datetime.now(UTC) + timedelta(minutes=1),
            Period=60,
            Statistics=["Maximum"],
        )["Datapoints"]
        return [one["Maximum"] for one in found]

    eventually(lambda: value("GroupInServiceInstances") == [2.0])
    assert value("GroupMaxSize") == [20.0]
    assert value("GroupDesiredCapacity") == []
    group.call("disable_metrics_collection", Metrics=["GroupMaxSize"])
    assert [one["Metric"] for one in group.describe()["EnabledMetrics"]] == ["GroupInServiceInstances"]
