"""What the elbv2 API tells of targets, and what it refuses."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.lab.alb import QUICK, Backend, Stack, certificate_and_key, eventually, fresh_clients


@pytest.fixture(scope="module")
def clients(lab: dict[str, Any]) -> Callable[..., Any]:
    return fresh_clients(lab)


@pytest.fixture(scope="module")
def balancer(clients: Callable[..., Any]) -> Stack:
    return Stack(clients)


@pytest.fixture
def stack(balancer: Stack) -> Stack:
    balancer.start_afresh()
    return balancer


@pytest.fixture
def backend() -> Iterator[Backend]:
    one = Backend("127.200.2.1")
    yield one
    one.stop()


def instance(clients: Callable[..., Any], subnet: str) -> str:
    """An EC2 instance that runs; nothing in it answers requests."""
    ec2 = clients("ec2")
    image = ec2.describe_images(Owners=["amazon"], MaxResults=5)["Images"][0]["ImageId"]
    launched = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, SubnetId=subnet, InstanceType="t3.micro")
    found: str = launched["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[found], WaiterConfig=QUICK)
    return found


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    code: str = refused.value.response["Error"]["Code"]
    return code


def test_a_target_is_initial_until_a_health_check_passed(stack, backend):
    backend.health_seconds = 0.7
    stack.listen()
    stack.register(backend.address)
    assert stack.health()[0][0] == "initial"
    eventually(lambda: stack.health() == [("initial", "Elb.InitialHealthChecking")])
    eventually(lambda: stack.health() == [("healthy", None)])


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"health": 503}, "Target.ResponseCodeMismatch"),
        ({"health_seconds": 3.0}, "Target.Timeout"),
    ],
)
def test_a_failing_target_is_unhealthy_for_its_reason_and_comes_back(stack, backend, trouble, reason):
    stack.serve(backend)
    for name, value in trouble.items():
        setattr(backend, name, value)
    eventually(lambda: stack.health() == [("unhealthy", reason)])
    backend.health, backend.health_seconds = 200, 0.0
    eventually(lambda: stack.health() == [("healthy", None)])


def test_a_target_that_refuses_connections_fails_its_health_checks(stack):
    stack.listen()
    stack.register("127.200.2.99")
    eventually(lambda: stack.health() == [("unhealthy", "Target.FailedHealthChecks")])


def test_health_check_settings_take_effect_while_it_runs(stack, backend):
    stack.serve(backend)
    stack.elbv2.modify_target_group(TargetGroupArn=stack.group, Matcher={"HttpCode": "201-204,301"})
    eventually(lambda: stack.health() == [("unhealthy", "Target.ResponseCodeMismatch")])
    backend.health = 301
    eventually(lambda: stack.health() == [("healthy", None)])


def test_targets_without_a_listener_are_unused(stack, backend):
    stack.register(backend.address)
    assert stack.health() == [("unused", "Target.NotInUse")]
    assert stack.health("127.200.2.50") == [("unused", "Target.NotRegistered")]


def test_a_deregistered_target_drains_for_the_delay_and_is_then_unused(stack, backend):
    stack.serve(backend)
    stack.deregister(backend.address)
    assert stack.health() == [("draining", "Target.DeregistrationInProgress")]
    stack.wait("target_deregistered", backend.address)
    assert stack.health() == []
    assert stack.health(backend.address) == [("unused", "Target.NotRegistered")]


def test_a_draining_target_can_be_registered_again(stack, backend):
    stack.serve(backend)
    stack.deregister(backend.address)
    stack.register(backend.address)
    stack.wait("target_in_service")
    assert stack.health() == [("healthy", None)]


def test_one_address_can_be_two_targets_on_two_ports(stack, backend):
    stack.listen()
    targets = [{"Id": backend.address, "Port": port} for port in (5000, 5001)]
    stack.elbv2.register_targets(TargetGroupArn=stack.group, Targets=targets)
    eventually(lambda: sorted(state for state, _ in stack.health()) == ["healthy", "unhealthy"])
    stack.elbv2.deregister_targets(TargetGroupArn=stack.group, Targets=targets[1:])
    eventually(lambda: stack.health() == [("healthy", None)])


def test_an_instance_that_stops_is_unused_and_one_that_terminates_leaves(stack, clients):
    stack.group = stack.target_group("instances", TargetType="instance")
    stack.listen()
    found = instance(clients, stack.subnets[0])
    stack.register(found)
    eventually(lambda: stack.health()[0][0] == "unhealthy", 20)
    ec2 = clients("ec2")
    ec2.stop_instances(InstanceIds=[found])
    eventually(lambda: stack.health() == [("unused", "Target.InvalidState")])
    ec2.get_waiter("instance_stopped").wait(InstanceIds=[found], WaiterConfig=QUICK)
    ec2.terminate_instances(InstanceIds=[found])
    eventually(lambda: stack.health() == [])


def test_a_terminated_instance_drains_first(stack, clients):
    stack.group = stack.target_group("terminated", TargetType="instance")
    stack.listen()
    found = instance(clients, stack.subnets[0])
    stack.register(found)
    clients("ec2").terminate_instances(InstanceIds=[found])
    eventually(lambda: stack.health() == [("draining", "Target.DeregistrationInProgress")])
    eventually(lambda: stack.health() == [])


def test_unknown_instances_are_refused_and_deregistering_a_stranger_is_not(stack):
    stack.group = stack.target_group("strangers", TargetType="instance")
    unknown = {"TargetGroupArn": stack.group, "Targets": [{"Id": "i-0123456789abcdef0"}]}
    assert refusal(stack.elbv2.register_targets, **unknown) == "InvalidTarget"
    stack.elbv2.deregister_targets(**unknown)


def test_a_protected_load_balancer_is_not_deleted(stack):
    def protect(value: str) -> None:
        attributes = [{"Key": "deletion_protection.enabled", "Value": value}]
        stack.elbv2.modify_load_balancer_attributes(LoadBalancerArn=stack.arn, Attributes=attributes)

    protect("true")
    assert refusal(stack.elbv2.delete_load_balancer, LoadBalancerArn=stack.arn) == "OperationNotPermitted"
    protect("false")


def test_a_target_group_belongs_to_one_load_balancer_and_is_kept_while_in_use(stack):
    stack.listen()
    assert refusal(stack.elbv2.delete_target_group, TargetGroupArn=stack.group) == "ResourceInUse"
    other = stack.elbv2.create_load_balancer(Name="other", Subnets=stack.subnets)["LoadBalancers"][0]
    listener = {
        "LoadBalancerArn": other["LoadBalancerArn"],
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": stack.group}],
    }
    assert refusal(stack.elbv2.create_listener, **listener) == "TargetGroupAssociationLimit"
    stack.elbv2.delete_load_balancer(LoadBalancerArn=other["LoadBalancerArn"])


def test_a_load_balancer_is_provisioning_until_its_process_answers(stack):
    made = stack.elbv2.create_load_balancer(Name="young", Subnets=stack.subnets)["LoadBalancers"][0]
    arn = made["LoadBalancerArn"]
    assert made["State"]["Code"] == "provisioning"
    stack.elbv2.get_waiter("load_balancer_available").wait(LoadBalancerArns=[arn], WaiterConfig=QUICK)
    assert refusal(stack.elbv2.create_load_balancer, Name="young", Subnets=stack.subnets) == "DuplicateLoadBalancerName"
    stack.elbv2.delete_load_balancer(LoadBalancerArn=arn)
    stack.elbv2.get_waiter("load_balancers_deleted").wait(LoadBalancerArns=[arn], WaiterConfig=QUICK)


def test_a_requested_certificate_serves_once_it_is_issued_and_cannot_be_deleted_then(stack, clients):
    acm = clients("acm")
    arn = acm.request_certificate(DomainName="demo.example", ValidationMethod="DNS")["CertificateArn"]
    action = {"Type": "forward", "TargetGroupArn": stack.group}
    https = {"LoadBalancerArn": stack.arn, "Port": 443, "Protocol": "HTTPS", "DefaultActions": [action]}
    assert refusal(stack.elbv2.create_listener, **https) == "ValidationError"
    with_it = {**https, "Certificates": [{"CertificateArn": arn}]}
    assert refusal(stack.elbv2.create_listener, **with_it) == "UnsupportedCertificate"
    acm.get_waiter("certificate_validated").wait(CertificateArn=arn, WaiterConfig=QUICK)
    stack.elbv2.create_listener(**with_it)
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["InUseBy"] == [stack.arn]
    assert refusal(acm.delete_certificate, CertificateArn=arn) == "ResourceInUseException"


def test_a_key_that_is_not_the_certificates_is_refused(clients):
    (certificate, _), (_, key) = certificate_and_key("one.example"), certificate_and_key("two.example")
    acm = clients("acm")
    wrong = {"Certificate": certificate, "PrivateKey": key}
    assert refusal(acm.import_certificate, **wrong) == "ValidationException"


def test_a_certificate_imported_again_keeps_its_arn_and_tells_its_new_end(clients):
    acm = clients("acm")
    certificate, key = certificate_and_key("renewed.example", days=5)
    arn = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    before = acm.describe_certificate(CertificateArn=arn)["Certificate"]["NotAfter"]
    certificate, key = certificate_and_key("renewed.example", days=90)
    acm.import_certificate(CertificateArn=arn, Certificate=certificate, PrivateKey=key)
    after = acm.describe_certificate(CertificateArn=arn)["Certificate"]["NotAfter"]
    assert (after - before).days == 85
    assert acm.get_certificate(CertificateArn=arn)["Certificate"].encode() == certificate


def test_unasked_acm_lists_certificates_with_rsa_keys_only(clients):
    acm = clients("acm")
    certificate, key = certificate_and_key("listed.example")
    arn = acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
    kind = acm.describe_certificate(CertificateArn=arn)["Certificate"]["KeyAlgorithm"]
    listed = [
        {one["CertificateArn"] for one in acm.list_certificates(**how)["CertificateSummaryList"]}
        for how in ({}, {"Includes": {"keyTypes": [kind]}}, {"Includes": {"keyTypes": ["EC_secp521r1"]}})
    ]
    assert [arn in found for found in listed] == [kind.startswith("RSA"), True, False]
