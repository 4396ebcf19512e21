"""A procedure carried out by hand, with nothing but the AWS CLI and the commands that it prints."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from docs.runbook.botocore_models import faults
from docs.runbook.markdown import list_commands, read
from flows.deploy_application import deploy_application
from flows.mute_alarms import mute_alarms
from flows.refresh_instances import refresh_instances
from flows.rollback_application import rollback_application
from flows.scale_up import scale_up
from tasks import break_glass
from tasks.break_glass import command_line, stopping_before_changes
from tests.stack import Stack

MOST_STEPS = 12


def next_command(procedure: Callable[..., Any], **parameters: Any) -> str:
    with stopping_before_changes() as stop:
        state = procedure(**parameters, return_state=True)
    assert stop.command or state.is_completed(), state
    return stop.command


def run(command: str) -> str:
    """As a person does, in a shell, with the CLI of this project."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "AWS_PAGER": ""}
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    return done.stdout


def require_parses(command: str) -> None:
    (found,) = list_commands(read(f"```bash\n{command}\n```"))
    assert list(faults(found)) == [], command


def carry_out(procedure: Callable[..., Any], **parameters: Any) -> list[str]:
    """By hand, to the end; the operations in their order."""
    done = []
    for _ in range(MOST_STEPS):
        command = next_command(procedure, **parameters)
        if not command:
            return done
        require_parses(command)
        run(command)
        done.append(" ".join(command.split()[1:3]))
    raise AssertionError(f"it did not end: {done}")


def test_a_release_is_rolled_out_and_taken_back_by_hand(stack: Stack) -> None:
    image = stack.push("2.0.0")
    done = carry_out(deploy_application, environment="dev", image=image, bake_minutes=0)
    assert done == ["ec2 create-launch-template-version", "autoscaling start-instance-refresh", "ssm put-parameter"]
    assert (stack.served(), stack.running_versions()) == ({"2.0.0"}, {"2"})
    back = stack.images["1.0.0"].partition("@")[2]
    carry_out(rollback_application, environment="dev", to=back, compare_with_terraform=False)
    assert stack.served() == {"1.0.0"}


def test_looking_for_the_next_command_changes_nothing(stack: Stack) -> None:
    calls = ("ec2:CreateLaunchTemplateVersion", "autoscaling:StartInstanceRefresh", "ssm:PutParameter")
    before = [stack.calls(one) for one in calls]
    for _ in range(2):
        command = next_command(refresh_instances, environment="dev", request="INC-7")
        assert command.startswith("aws ec2 create-launch-template-version ")
    assert [stack.calls(one) for one in calls] == before
    assert stack.template_versions() == [1]


def test_what_a_person_has_done_by_other_means_is_not_asked_for_again(stack: Stack) -> None:
    first = next_command(scale_up, environment="dev", instances=3, by="ann", because="INC-7")
    assert first.startswith("aws ssm put-parameter ")
    run(first)
    stack.clients("autoscaling").set_desired_capacity(AutoScalingGroupName=stack.asg, DesiredCapacity=3)
    stack.wait_until_serving(3)
    assert carry_out(scale_up, environment="dev", instances=3, by="ann", because="INC-7") is not None
    assert len(stack.group()["Instances"]) == 3


def test_alarms_are_muted_by_hand(stack: Stack) -> None:
    require_parses(next_command(mute_alarms, environment="dev", reason="INC-7", minutes=30))
    run(next_command(mute_alarms, environment="dev", reason="it's INC-7", minutes=30))
    (rule,) = stack.clients("cloudwatch").list_alarm_mute_rules()["AlarmMuteRuleSummaries"]
    assert rule["MuteType"] == "ONE_TIME"


def test_from_a_terminal_the_command_alone_is_printed(stack: Stack, environment: dict[str, str]) -> None:
    image = stack.push("2.0.0")
    asked = ["-m", "flows.deploy_application", "--environment", "dev", "--image", image, "--print-next-command"]
    done = subprocess.run(
        [sys.executable, *asked], env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = [line for line in done.stdout.splitlines() if line.startswith("aws ")]
    assert len(printed) == 1
    assert "Nothing was changed" in done.stderr
    assert stack.template_versions() == [1]


@pytest.mark.parametrize(
    ("service", "operation", "parameters"),
    [
        ("rds", "RebootDBInstance", {"DBInstanceIdentifier": "db", "ForceFailover": True}),
        ("rds", "CreateDBSnapshot", {"DBSnapshotIdentifier": "s", "DBInstanceIdentifier": "d", "Tags": [{"Key": "a"}]}),
        ("s3", "PutObject", {"Bucket": "b", "Key": "k", "Body": b'{"it\'s": 1}', "ContentType": "application/json"}),
        ("autoscaling", "UpdateAutoScalingGroup", {"AutoScalingGroupName": "g", "MaxSize": 15}),
    ],
)
def test_each_command_is_one_that_the_cli_takes(service: str, operation: str, parameters: dict[str, Any]) -> None:
    require_parses(command_line(service, operation, parameters).partition(" <<")[0])


def test_a_secret_is_not_printed() -> None:
    asked = {"DBInstanceIdentifier": "db", "MasterUserPassword": "canary"}
    assert "canary" not in command_line("rds", "ModifyDBInstance", asked)


def test_what_would_change_something_is_not_sent_even_when_it_is_caught(stack: Stack) -> None:
    """A `finally` on the way out would clean up what was never made."""
    with stopping_before_changes() as stop:
        for name in ("first", "second"):
            with pytest.raises((break_glass.StoppedBeforeChange, ClientError)):
                break_glass.aws.client("ssm").put_parameter(Name=f"/{name}", Value="x", Type="String")
    assert "/first" in stop.command
    assert stack.clients("ssm").get_parameters(Names=["/first", "/second"])["Parameters"] == []
