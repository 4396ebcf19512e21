"""The lab as a program: it starts, tells the truth, breaks on request, and leaves nothing behind."""

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import psutil
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from lab.processes import MARK, spawn, stop
from tests.running import clients_of

PROJECT = Path(__file__).parents[2]
NOBODY = 65534
GONE_WITHIN_SECONDS = 15.0


def run_lab(
    home: Path, *arguments: str, prefix: tuple[str, ...] = (), python: str = sys.executable
) -> subprocess.CompletedProcess[str]:
    command = [*prefix, python, "-m", "lab", "--home", str(home), *arguments]
    return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False, timeout=120)


def ready(home: Path) -> dict[str, Any]:
    return json.loads((home / "lab.json").read_text())


def processes_of(home: Path) -> list[psutil.Process]:
    """Every process that works for the lab in `home`, its supervisor included."""
    return [p for p in psutil.process_iter() if str(home) in words_of(p)]


def words_of(process: psutil.Process) -> list[str]:
    try:
        return [*process.cmdline(), process.environ().get(MARK, "")]
    except psutil.Error:
        return []


def wait_until(condition: Callable[[], bool], seconds: float = GONE_WITHIN_SECONDS) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.1)
    return condition()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """A folder for a lab of the test's own."""
    path = tmp_path / "own-lab"
    yield path
    run_lab(path, "down")


def python_of_everybody(become: tuple[str, ...]) -> str:
    """A Python that a normal user may run with this virtualenv's packages; root's own often lies below /root."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for python in (sys.executable, f"/usr/bin/{version}"):
        if subprocess.run([*become, python, "-c", "import lab.server"], cwd=PROJECT, check=False).returncode == 0:
            return python
    pytest.skip("a normal user may not run any Python that has the lab's packages")


class TestRunningLab:
    @pytest.fixture(scope="class")
    def home(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
        """One lab for these tests, which leave it running."""
        path = tmp_path_factory.mktemp("running") / "lab"
        run_lab(path, "up", "--speed", "20")
        yield path
        run_lab(path, "down")

    def test_up_again_is_the_same_lab(self, home: Path) -> None:
        first = ready(home)
        again = run_lab(home, "up")
        assert again.returncode == 0
        assert json.loads(again.stdout)["url"] == first["url"]
        assert ready(home) == first

    def test_env_is_what_a_shell_needs_to_find_the_lab(self, home: Path) -> None:
        exports = run_lab(home, "env").stdout
        shell = f"{exports}\nprintenv AWS_ENDPOINT_URL AWS_REGION"
        answer = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, check=True)
        assert answer.stdout.split() == [ready(home)["url"], "eu-north-1"]

    def test_status_names_every_part_that_has_something_to_tell(self, home: Path) -> None:
        status = json.loads(run_lab(home, "status").stdout)
        assert status["speed"] == 20
        assert isinstance(status["parts"], dict)

    def test_reset_forgets_what_was_made_and_keeps_the_lab(self, home: Path) -> None:
        before = ready(home)
        s3 = clients_of(before)("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        assert run_lab(home, "reset").returncode == 0
        assert s3.list_buckets()["Buckets"] == []
        assert ready(home) == before


class TestLife:
    def test_two_ups_at_the_same_time_are_one_lab(self, home: Path) -> None:
        command = [sys.executable, "-m", "lab", "--home", str(home), "up"]
        both = [subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in "ab"]
        assert [process.wait(90) for process in both] == [0, 0]
        urls = {json.loads(process.communicate()[0])["url"] for process in both}
        assert len(urls) == 1

    def test_down_leaves_no_process_and_no_folder(self, home: Path) -> None:
        run_lab(home, "up")
        assert processes_of(home)
        assert run_lab(home, "down").returncode == 0
        assert not home.exists()
        assert wait_until(lambda: not processes_of(home), 3)
        assert run_lab(home, "down").returncode == 0

    def test_two_labs_side_by_side_know_nothing_of_each_other(self, home: Path, tmp_path: Path) -> None:
        other = tmp_path / "other-lab"
        run_lab(home, "up")
        run_lab(other, "up")
        try:
            assert ready(home)["url"] != ready(other)["url"]
            clients_of(ready(home))("sns").create_topic(Name="mine")
            assert clients_of(ready(other))("sns").list_topics()["Topics"] == []
        finally:
            run_lab(other, "down")
        assert clients_of(ready(home))("sns").list_topics()["Topics"]

    def test_foreground_stays_until_interrupted_and_shows_the_log(self, home: Path) -> None:
        command = [sys.executable, "-m", "lab", "--home", str(home), "up", "--foreground"]
        lab = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.PIPE, text=True)
        assert lab.stderr
        assert any("http://127." in line for line in lab.stderr)  # it waits for the line that says where it answers
        lab.send_signal(signal.SIGINT)
        lab.communicate(timeout=30)
        assert lab.returncode == 0
        assert not home.exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else; this run is a normal user's")
    def test_works_as_a_normal_user(self) -> None:
        folder = Path(tempfile.mkdtemp(prefix="lab-of-nobody-"))  # pytest's own folders are root's alone
        os.chown(folder, NOBODY, NOBODY)
        user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        become = (*user, "env", f"HOME={folder}", f"PYTHONPATH={sysconfig.get_path('purelib')}")
        python = python_of_everybody(become)
        try:
            assert run_lab(folder / "lab", "up", prefix=become, python=python).stderr == ""
            assert psutil.Process(ready(folder / "lab")["pid"]).uids().real == NOBODY
            assert clients_of(ready(folder / "lab"))("sts").get_caller_identity()["Account"] == "123456789012"
            assert run_lab(folder / "lab", "down", prefix=become, python=python).returncode == 0
            assert not (folder / "lab").exists()
        finally:
            folder.rmdir()


class TestSuddenDeath:
    """Killed in any way, the lab takes everything with it."""

    def test_killed_lab_is_buried_by_its_supervisor(self, home: Path) -> None:
        run_lab(home, "up")
        os.kill(ready(home)["pid"], signal.SIGKILL)
        assert wait_until(lambda: not home.exists())
        assert wait_until(lambda: not processes_of(home))

    def test_lab_without_supervisor_ends_and_buries_itself(self, home: Path) -> None:
        run_lab(home, "up")
        supervisor = psutil.Process(ready(home)["pid"]).parent()
        assert supervisor and "lab.supervisor" in supervisor.cmdline()
        supervisor.kill()
        assert wait_until(lambda: not home.exists())
        assert wait_until(lambda: not processes_of(home))

    def test_up_clears_what_was_left_when_both_were_killed(self, home: Path) -> None:
        run_lab(home, "up")
        server = psutil.Process(ready(home)["pid"])
        supervisor = server.parent()
        assert supervisor
        supervisor.suspend()  # or one of the two would clean up before it is killed
        server.kill()
        supervisor.kill()
        stale = ready(home)
        answer = run_lab(home, "up")
        assert answer.returncode == 0, answer.stderr
        assert ready(home)["pid"] != stale["pid"]

    def test_child_outlives_the_thread_that_started_it_but_not_the_lab(self) -> None:
        children: list[subprocess.Popen[bytes]] = []
        thread = threading.Thread(target=lambda: children.append(spawn(["sleep", "60"])))
        thread.start()
        thread.join()
        time.sleep(0.3)
        assert children[0].poll() is None
        assert stop(children[0]) == -signal.SIGTERM


class TestRefusals:
    """What cannot start says why, in one line."""

    @pytest.mark.parametrize("speed", ["fast", "0", "-1", "nan", "inf"])
    def test_bad_speed(self, home: Path, speed: str) -> None:
        answer = run_lab(home, "up", f"--speed={speed}")
        assert answer.returncode == 2
        assert answer.stderr == f"python -m lab up: argument --speed: invalid speed value: '{speed}'\n"

    def test_home_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("not a folder")
        answer = run_lab(tmp_path / "file" / "lab", "up")
        assert answer.returncode == 1
        assert answer.stderr == f"the lab cannot use {tmp_path}/file/lab: Not a directory\n"

    def test_folder_with_somebodys_files_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        answer = run_lab(tmp_path, "up")
        assert answer.returncode == 1
        assert answer.stderr.count("\n") == 1
        assert "files that no lab made" in answer.stderr
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    @pytest.mark.parametrize("command", ["status", "reset", "env"])
    def test_question_to_a_lab_that_does_not_run(self, tmp_path: Path, command: str) -> None:
        answer = run_lab(tmp_path / "none", command)
        assert answer.returncode == 1
        assert answer.stderr == f"no lab runs in {tmp_path}/none: start one with 'python -m lab up'\n"


class TestFaults:
    """One service per wire protocol: query, json, rest-xml, ec2, rest-json."""

    CALLS = (
        ("rds", "describe_db_instances", "rds:DescribeDBInstances"),
        ("logs", "describe_log_groups", "logs:DescribeLogGroups"),
        ("s3", "list_buckets", "s3:ListBuckets"),
        ("ec2", "describe_vpcs", "ec2:DescribeVpcs"),
        ("guardduty", "list_detectors", "guardduty:ListDetectors"),
    )

    @pytest.mark.parametrize(("service", "method", "name"), CALLS)
    def test_error_is_the_clients_own_error(
        self, client: Any, call_tool: Any, service: str, method: str, name: str
    ) -> None:
        call_tool("POST", "/lab/faults", {"match": name, "kind": "error", "code": "Throttling", "times": 1})
        with pytest.raises(ClientError) as refusal:
            getattr(client(service), method)()
        assert refusal.value.response["Error"] == {
            "Code": "Throttling",
            "Message": "Rate exceeded",
            **({"Type": "Sender"} if service == "rds" else {}),
        }
        getattr(client(service), method)()

    @pytest.mark.usefixtures("fresh_lab")
    @pytest.mark.parametrize(("service", "method", "name"), CALLS)
    def test_boto3_survives_a_server_error_by_itself(
        self, call_tool: Any, service: str, method: str, name: str
    ) -> None:
        fault = {"match": name, "kind": "error", "code": "ServiceUnavailable", "status": 503, "times": 1}
        call_tool("POST", "/lab/faults", fault)
        getattr(boto3.session.Session().client(service), method)()
        assert call_tool("GET", "/lab/counts") == {name: 2}

    @pytest.mark.parametrize(("service", "method", "name"), CALLS)
    def test_dropped_connection_has_no_answer(
        self, client: Any, call_tool: Any, service: str, method: str, name: str
    ) -> None:
        call_tool("POST", "/lab/faults", {"match": name, "kind": "drop", "times": 1})
        with pytest.raises(ConnectionClosedError):
            getattr(client(service), method)()
        getattr(client(service), method)()

    def test_latency_delays_the_answer_and_no_other_call(self, client: Any, call_tool: Any) -> None:
        call_tool("POST", "/lab/faults", {"match": "rds:.*", "kind": "latency", "seconds": 4, "times": 1})
        rds, logs = client("rds"), client("logs")
        began = time.monotonic()
        slow = threading.Thread(target=rds.describe_db_instances)
        slow.start()
        time.sleep(0.1)
        logs.describe_log_groups()
        assert slow.is_alive()
        slow.join()
        assert time.monotonic() - began > 4

    def test_lost_response_is_a_change_that_was_made(self, client: Any, call_tool: Any) -> None:
        call_tool("POST", "/lab/faults", {"match": "logs:CreateLogGroup", "kind": "lost-response", "times": 1})
        logs = client("logs")
        with pytest.raises(ConnectionClosedError):
            logs.create_log_group(logGroupName="/made")
        with pytest.raises(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_group(logGroupName="/made")

    def test_faults_can_be_listed_and_taken_back(self, client: Any, call_tool: Any) -> None:
        one = call_tool("POST", "/lab/faults", {"match": "sts:.*", "kind": "error"})["id"]
        two = call_tool("POST", "/lab/faults", {"match": "logs:.*", "kind": "error"})["id"]
        assert [fault["id"] for fault in call_tool("GET", "/lab/faults")] == [one, two]
        call_tool("DELETE", f"/lab/faults?id={one}")
        client("sts").get_caller_identity()
        with pytest.raises(ClientError):
            client("logs").describe_log_groups()
        call_tool("DELETE", "/lab/faults")
        client("logs").describe_log_groups()

    def test_what_is_no_fault_is_refused(self, fresh_lab: dict[str, Any]) -> None:
        for wrong in ({"match": ".*", "kind": "explode"}, {"kind": "drop"}, {"match": "(", "kind": "drop"}):
            answer = httpx.post(f"{fresh_lab['url']}/lab/faults", json=wrong)
            assert (answer.status_code, answer.text.count("\n")) == (400, 1)


class TestAnswers:
    def test_operation_that_moto_lacks_is_an_aws_error(self, client: Any) -> None:
        lacking = {
            "ce": lambda ce: ce.get_savings_plans_coverage(TimePeriod={"Start": "2026-01-01", "End": "2026-02-01"}),
            "rds": lambda rds: rds.describe_reserved_db_instances(),
            "ec2": lambda ec2: ec2.describe_trunk_interface_associations(),
        }
        for service, call in lacking.items():
            with pytest.raises(ClientError) as refusal:
                call(client(service))
            assert refusal.value.response["Error"]["Code"] == "InvalidAction", service

    def test_unknown_rest_path_is_an_aws_error(self, client: Any) -> None:
        with pytest.raises(ClientError) as refusal:
            client("guardduty").get_usage_statistics(
                DetectorId="d" * 32, UsageStatisticType="SUM_BY_ACCOUNT", UsageCriteria={"DataSources": ["DNS_LOGS"]}
            )
        assert refusal.value.response["Error"]["Code"] == "UnknownOperationException"
        assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404

    def test_service_that_moto_lacks_is_an_aws_error(self, client: Any) -> None:
        with pytest.raises(ClientError) as refusal:
            client("trustedadvisor").list_checks()
        assert refusal.value.response["Error"]["Code"] == "InvalidAction"

    def test_crash_of_moto_is_an_internal_failure_and_its_traceback_is_in_the_log(
        self, client: Any, fresh_lab: dict[str, Any]
    ) -> None:
        with pytest.raises(ClientError) as failure:  # moto's own KeyError
            client("textract").get_document_text_detection(JobId="absent")
        assert failure.value.response["Error"]["Code"] == "InternalFailure"
        assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
        assert "Traceback" in (Path(fresh_lab["home"]) / "lab.log").read_text()

    def test_underscored_metadata_survives(self, client: Any) -> None:
        s3 = client("s3")
        s3.create_bucket(Bucket="bucket", CreateBucketConfiguration={"LocationConstraint": "eu-north-1"})
        s3.put_object(Bucket="bucket", Key="k", Body=b"x" * 100_000, Metadata={"run_id": "1"})
        assert s3.head_object(Bucket="bucket", Key="k")["Metadata"] == {"run_id": "1"}

    def test_call_on_a_kept_connection_is_quick(self, client: Any) -> None:
        """The head and the body of an answer are two writes: with Nagle's algorithm each call takes 40 ms."""
        sts, times = client("sts"), []
        for _ in range(20):
            began = time.monotonic()
            sts.get_caller_identity()
            times.append(time.monotonic() - began)
        assert min(times) < 0.03


class TestCallLog:
    def test_names_the_operations_of_every_service(self, client: Any, call_tool: Any) -> None:
        calls: dict[str, Callable[[Any], Any]] = {
            "sts": lambda c: c.get_caller_identity(),
            "ec2": lambda c: c.describe_vpcs(),
            "rds": lambda c: c.describe_db_instances(),
            "autoscaling": lambda c: c.describe_auto_scaling_groups(),
            "elbv2": lambda c: c.describe_load_balancers(),
            "cloudwatch": lambda c: c.describe_alarms(),
            "logs": lambda c: c.describe_log_groups(),
            "s3": lambda c: c.list_buckets(),
            "secretsmanager": lambda c: c.list_secrets(),
            "ssm": lambda c: c.describe_parameters(),
            "guardduty": lambda c: c.list_detectors(),
            "iam": lambda c: c.list_users(),
            "ecr": lambda c: c.describe_repositories(),
        }
        for service, call in calls.items():
            call(client(service))
        names = [call["name"] for call in call_tool("GET", "/lab/calls")]
        assert names == [
            "sts:GetCallerIdentity",
            "ec2:DescribeVpcs",
            "rds:DescribeDBInstances",
            "autoscaling:DescribeAutoScalingGroups",
            "elbv2:DescribeLoadBalancers",
            "cloudwatch:DescribeAlarms",
            "logs:DescribeLogGroups",
            "s3:ListBuckets",
            "secretsmanager:ListSecrets",
            "ssm:DescribeParameters",
            "guardduty:ListDetectors",
            "iam:ListUsers",
            "ecr:DescribeRepositories",
        ]
        assert call_tool("GET", "/lab/counts") == dict.fromkeys(names, 1)

    def test_tells_who_called_when_and_what_came_of_it(self, client: Any, call_tool: Any) -> None:
        before = time.time()
        with pytest.raises(ClientError):
            client("rds").describe_db_instances(DBInstanceIdentifier="absent")
        (call,) = call_tool("GET", f"/lab/calls?since={before}")
        assert (call["name"], call["status"], call["access_key"]) == ("rds:DescribeDBInstances", 404, "testing")
        assert call_tool("GET", f"/lab/calls?since={time.time()}") == []


class TestReset:
    def test_motos_own_reset_is_the_labs(self, client: Any, fresh_lab: dict[str, Any], call_tool: Any) -> None:
        client("sns").create_topic(Name="t")
        httpx.post(f"{fresh_lab['url']}/moto-api/reset").raise_for_status()
        assert call_tool("GET", "/lab/calls") == []
        assert client("sns").list_topics()["Topics"] == []

    def test_what_was_deleted_is_freed(self, client: Any, fresh_lab: dict[str, Any]) -> None:
        """moto keeps every object ever made: three times 48 000 log events take 100 MB for ever."""
        logs, process = client("logs"), psutil.Process(fresh_lab["pid"])

        def fill_and_empty() -> int:
            logs.create_log_group(logGroupName="/big")
            logs.create_log_stream(logGroupName="/big", logStreamName="s")
            now = int(time.time() * 1000)
            events = [{"timestamp": now, "message": f"{number:05d} " + "x" * 80} for number in range(8_000)]
            for _ in range(6):
                logs.put_log_events(logGroupName="/big", logStreamName="s", logEvents=events)
            logs.delete_log_group(logGroupName="/big")
            return process.memory_info().rss

        sizes = [fill_and_empty() for _ in range(5)]
        assert sizes[4] - sizes[1] < 80_000_000, sizes
