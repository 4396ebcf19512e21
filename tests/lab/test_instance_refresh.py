"""Instance refreshes through the API, on real groups and the lab's clock."""

import time

import pytest
from botocore.exceptions import ClientError

from tests.lab.groups import Account, eventually


@pytest.fixture(scope="module")
def account(lab):
    return Account(lab)


@pytest.fixture
def group(account):
    return account.group()


def refusal(call, *args, **parameters):
    with pytest.raises(ClientError) as caught:
        call(*args, **parameters)
    return caught.value.response["Error"]["Code"]


def test_it_replaces_every_instance_and_then_the_group_adopts_the_configuration(group):
    before = set(group.create(3).ids())
    version = group.new_version()
    began = time.monotonic()
    identifier = group.refresh(version, InstanceWarmup=60, AutoRollback=True)
    seen = []

    def look():
        configured = group.describe()["LaunchTemplate"]["Version"]
        found = group.latest_refresh()
        assert found["Status"] == "Successful" or configured == "1"
        seen.append((found["Status"], found["PercentageComplete"], found["InstancesToUpdate"]))
        return found["Status"] == "Successful"

    eventually(look)
    assert 3.6 < time.monotonic() - began < 8
    assert [one for one in dict.fromkeys(seen) if one[0] != "Pending"] == [
        ("InProgress", 0, 3),
        ("InProgress", 33, 2),
        ("InProgress", 66, 1),
        ("Successful", 100, 0),
    ]
    assert group.describe()["LaunchTemplate"]["Version"] == version
    assert group.versions() == [version] * 3
    assert not before & set(group.ids())
    found = group.latest_refresh()
    assert found["InstanceRefreshId"] == identifier
    assert found["StartTime"] < found["EndTime"]
    assert found["DesiredConfiguration"]["LaunchTemplate"] == group.version(version)


def test_defaults_are_those_of_the_documentation(group):
    group.create(1, HealthCheckGracePeriod=90)
    group.call("start_instance_refresh", Preferences={"CheckpointPercentages": [50, 100]})
    assert group.latest_refresh()["Preferences"] == {
        "MinHealthyPercentage": 90,
        "InstanceWarmup": 90,
        "CheckpointPercentages": [50, 100],
        "CheckpointDelay": 3600,
        "SkipMatching": False,
        "AutoRollback": False,
        "ScaleInProtectedInstances": "Wait",
        "StandbyInstances": "Wait",
    }


def test_the_default_instance_warmup_and_the_maintenance_policy_are_defaults(group):
    policy = {"MinHealthyPercentage": 100, "MaxHealthyPercentage": 150}
    group.create(1, DefaultInstanceWarmup=20, HealthCheckGracePeriod=90, InstanceMaintenancePolicy=policy)
    group.call("start_instance_refresh")
    wish = group.latest_refresh()["Preferences"]
    assert (wish["InstanceWarmup"], wish["MinHealthyPercentage"], wish["MaxHealthyPercentage"]) == (20, 100, 150)


def fewest_in_service(group):
    fewest = []

    def look():
        fewest.append(len(group.ids("InService")))
        return group.latest_refresh()["Status"] == "Successful"

    eventually(look)
    return min(fewest)


def test_a_group_of_one_is_out_of_service_when_nothing_is_said_of_the_maximum(group):
    group.create(1)
    group.refresh(MinHealthyPercentage=90)
    assert fewest_in_service(group) == 0


def test_a_group_of_one_stays_in_service_with_an_explicit_maximum(group):
    group.create(1)
    group.refresh(MinHealthyPercentage=90, MaxHealthyPercentage=100)
    assert fewest_in_service(group) == 1
    group.wait_in_service(1)


def test_cancelling_leaves_the_group_mixed_and_its_configuration_as_it_was(group):
    group.create(3)
    identifier = group.refresh(group.new_version())
    eventually(lambda: group.latest_refresh()["PercentageComplete"] == 33)
    assert group.call("cancel_instance_refresh")["InstanceRefreshId"] == identifier
    assert group.latest_refresh()["Status"] in ("Cancelling", "Cancelled")
    found = group.wait_refresh("Cancelled")
    assert found["EndTime"]
    assert found["StatusReason"] == "Cancelled due to user request."
    assert set(group.versions()) == {"1", "2"}
    assert group.describe()["LaunchTemplate"]["Version"] == "1"
    group.call("set_desired_capacity", DesiredCapacity=4)
    group.wait_in_service(4)
    assert group.versions().count("1") == 2


def test_a_rollback_restores_the_old_version(group):
    group.create(2)
    identifier = group.refresh(group.new_version())
    eventually(lambda: group.latest_refresh()["PercentageComplete"] == 50)
    assert group.call("rollback_instance_refresh")["InstanceRefreshId"] == identifier
    assert group.latest_refresh()["Status"] == "RollbackInProgress"
    found = group.wait_refresh("RollbackSuccessful")
    assert (found["PercentageComplete"], found["InstancesToUpdate"]) == (0, 2)
    details = found["RollbackDetails"]
    assert (details["PercentageCompleteOnRollback"], details["InstancesToUpdateOnRollback"]) == (50, 1)
    assert "Manual" in details["RollbackReason"]
    assert found["StartTime"] < details["RollbackStartTime"] < found["EndTime"]
    assert group.versions() == ["1"] * 2
    assert group.describe()["LaunchTemplate"]["Version"] == "1"


def vanishing_version(group):
    """A template version that passes the checks at the start, and whose image is gone then."""
    copy = {"SourceImageId": group.ami, "SourceRegion": "eu-north-1", "Name": group.name}
    image = group.ec2.copy_image(**copy)["ImageId"]
    return image, group.new_version(ImageId=image)


def test_launches_that_fail_fail_it(group):
    group.create(2)
    image, version = vanishing_version(group)
    group.refresh(version)
    group.ec2.deregister_image(ImageId=image)
    found = group.wait_refresh("Failed")
    assert "launches in a row failed" in found["StatusReason"]
    assert group.activities()[0]["StatusCode"] == "Failed"
    group.wait_in_service(2)
    assert group.versions() == ["1", "1"]


def test_launches_that_fail_are_rolled_back_when_asked(group):
    group.create(2)
    image, version = vanishing_version(group)
    group.refresh(version, AutoRollback=True)
    group.ec2.deregister_image(ImageId=image)
    found = group.wait_refresh("RollbackSuccessful")
    assert found["RollbackDetails"]["RollbackReason"].startswith("Automatic rollback was initiated")
    assert group.versions() == ["1", "1"]


def make_alarm(account, name):
    account.client("cloudwatch").put_metric_alarm(
        AlarmName=name,
        Namespace="Custom",
        MetricName="Errors",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="ignore",
    )


def test_an_alarm_during_the_bake_rolls_it_back(group, account):
    group.create(1)
    make_alarm(account, group.name)
    specification = {"Alarms": [group.name]}
    group.refresh(group.new_version(), BakeTime=3000, AutoRollback=True, AlarmSpecification=specification)
    group.wait_refresh("Baking")
    assert group.versions() == ["2"]
    account.client("cloudwatch").set_alarm_state(AlarmName=group.name, StateValue="ALARM", StateReason="test")
    found = group.wait_refresh("RollbackSuccessful")
    assert group.name in found["RollbackDetails"]["RollbackReason"]
    assert group.versions() == ["1"]


def test_instances_launched_meanwhile_run_the_desired_configuration(group):
    group.create(2)
    group.refresh(group.new_version(), CheckpointPercentages=[50, 100], CheckpointDelay=50)
    eventually(lambda: "Checkpoint" in group.latest_refresh().get("StatusReason", ""))
    group.call("set_desired_capacity", DesiredCapacity=3)
    eventually(lambda: group.versions() == ["1", "2", "2"])
    group.wait_refresh("Successful")
    assert group.versions() == ["2", "2", "2"]


def test_skip_matching_replaces_nothing_that_matches(group):
    before = group.create(2).ids()
    group.refresh("1", SkipMatching=True)
    found = group.wait_refresh("Successful")
    assert (found["PercentageComplete"], found["InstancesToUpdate"]) == (100, 0)
    assert group.ids() == before


def test_one_at_a_time(group):
    group.create(1)
    group.refresh(group.new_version(), InstanceWarmup=100)
    assert refusal(group.refresh) == "InstanceRefreshInProgress"
    code = refusal(group.call, "update_auto_scaling_group", LaunchTemplate=group.version("2"))
    assert code == "ValidationError"
    group.call("update_auto_scaling_group", MaxSize=7)


def test_without_an_active_refresh_there_is_nothing_to_cancel_or_roll_back(group):
    group.create(0)
    assert refusal(group.call, "cancel_instance_refresh") == "ActiveInstanceRefreshNotFound"
    assert refusal(group.call, "rollback_instance_refresh") == "ActiveInstanceRefreshNotFound"
    group.refresh()
    group.wait_refresh("Successful")
    assert refusal(group.call, "rollback_instance_refresh") == "ActiveInstanceRefreshNotFound"


def test_without_a_desired_configuration_it_is_irreversible(group):
    group.create(1)
    group.refresh(InstanceWarmup=100)
    assert refusal(group.call, "rollback_instance_refresh") == "IrreversibleInstanceRefresh"
    assert refusal(group.call, "start_instance_refresh") == "InstanceRefreshInProgress"


def test_from_dollar_latest_there_is_no_way_back(group):
    group.create(1, version="$Latest")
    assert refusal(group.refresh, "1", AutoRollback=True) == "ValidationError"
    group.refresh("1", InstanceWarmup=100)
    assert refusal(group.call, "rollback_instance_refresh") == "IrreversibleInstanceRefresh"


@pytest.mark.parametrize(
    "preferences",
    [
        {"MaxHealthyPercentage": 110},
        {"MinHealthyPercentage": 50, "MaxHealthyPercentage": 200},
        {"MinHealthyPercentage": 101},
        {"MinHealthyPercentage": 90, "MaxHealthyPercentage": 201},
        {"CheckpointPercentages": [50, 20]},
        {"CheckpointPercentages": [50, 50]},
        {"CheckpointPercentages": [50, 101]},
        {"CheckpointDelay": 60},
        {"BakeTime": 172801},
        {"AlarmSpecification": {"Alarms": ["nobody"]}},
        {"AutoRollback": True},
        {"StandbyInstances": "Refresh"},
    ],
    ids=str,
)
def test_impossible_preferences_are_refused(group, preferences):
    group.create(0)
    assert refusal(group.refresh, **preferences) == "ValidationError"
    assert group.call("describe_instance_refreshes")["InstanceRefreshes"] == []


def test_a_template_version_that_does_not_exist_is_refused(group):
    group.create(0)
    assert refusal(group.refresh, "9") == "ValidationError"


def test_refreshes_are_described_in_pages_newest_first(group):
    group.create(0)
    identifiers = []
    for _ in range(3):
        identifiers.append(group.refresh())
        group.wait_refresh("Successful")
    pages = group.call("describe_instance_refreshes", MaxRecords=2)
    assert [one["InstanceRefreshId"] for one in pages["InstanceRefreshes"]] == identifiers[:0:-1]
    rest = group.call("describe_instance_refreshes", MaxRecords=2, NextToken=pages["NextToken"])
    assert [one["InstanceRefreshId"] for one in rest["InstanceRefreshes"]] == identifiers[:1]
    one = group.call("describe_instance_refreshes", InstanceRefreshIds=identifiers[:1])["InstanceRefreshes"]
    assert [each["InstanceRefreshId"] for each in one] == identifiers[:1]
    assert refusal(group.call, "describe_instance_refreshes", NextToken="no") == "InvalidNextToken"


def test_a_deleted_group_takes_its_refresh_along(group):
    group.create(2)
    group.refresh(group.new_version(), InstanceWarmup=1000)
    group.call("delete_auto_scaling_group", ForceDelete=True)
    eventually(lambda: not group.exists())
