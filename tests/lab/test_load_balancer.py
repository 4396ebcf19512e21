"""What clients of a load balancer see, over real sockets."""

import concurrent.futures
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509

from lab.load import Load
from tests.lab.alb import Backend, Stack, certificate_and_key, eventually, fresh_clients

PROJECT = Path(__file__).parents[2]


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
def backends() -> Iterator[tuple[Backend, Backend]]:
    with ExitStack() as stack:
        pair = Backend("127.200.1.1"), Backend("127.200.1.2")
        for backend in pair:
            stack.callback(backend.stop)
        yield pair


def test_a_target_that_drains_before_it_stops_costs_no_request(stack, backends):
    old, new = backends
    url = stack.serve(old)
    with Load(url, rate=100) as load:
        stack.register(new.address)
        stack.wait("target_in_service")
        stack.deregister(old.address)
        stack.wait("target_deregistered", old.address)
        old.stop()
        time.sleep(1)
    old.start()
    assert load.result["failed"] == 0, load.result
    assert load.result["by_status"] == {"200": load.result["sent"]}
    assert set(load.result["by_version"]) == {old.address, new.address}


def test_a_target_that_stops_without_draining_is_seen_by_clients_until_it_is_unhealthy(stack, backends):
    killed, other = backends
    url = stack.serve(killed, other)
    with Load(url, rate=100) as load:
        time.sleep(0.5)
        killed.stop()
        eventually(lambda: ("unhealthy", "Target.FailedHealthChecks") in stack.health(killed.address))
        time.sleep(0.5)
    killed.start()
    assert load.result["by_status"]["502"] == load.result["failed"] > 0
    with Load(url, rate=50) as calm:
        time.sleep(0.5)
    assert calm.result["failed"] == 0


def test_a_request_in_flight_gets_the_whole_deregistration_delay(stack, backends):
    url = stack.serve(backends[0])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        slow = pool.submit(httpx.get, f"{url}/sleep/2.5", timeout=10)
        time.sleep(0.5)
        stack.deregister(backends[0].address)
        time.sleep(1.5)  # the delay of 50 s is 1 s on the lab's clock
        assert stack.health() == [("draining", "Target.DeregistrationInProgress")]
        assert slow.result().status_code == 200
    stack.wait("target_deregistered", backends[0].address)
    assert stack.health() == []


def test_requests_go_round_the_healthy_targets(stack, backends):
    url = stack.serve(*backends)
    with httpx.Client() as browser:
        seen = [browser.get(url).json()["version"] for _ in range(10)]
    assert {seen.count(backend.address) for backend in backends} == {5}


def test_without_a_target_it_answers_503(stack):
    stack.listen()
    answer = eventually(lambda: try_get(f"http://{stack.host}/"))
    assert answer.status_code == 503
    assert "503 Service Temporarily Unavailable" in answer.text
    assert answer.headers["Server"] == "awselb/2.0"


def test_a_target_that_speaks_no_http_is_a_502(stack, backends):
    assert httpx.get(f"{stack.serve(backends[0])}/garbage").status_code == 502


def test_a_target_that_takes_longer_than_the_idle_timeout_is_a_504(stack, backends):
    stack.elbv2.modify_load_balancer_attributes(
        LoadBalancerArn=stack.arn, Attributes=[{"Key": "idle_timeout.timeout_seconds", "Value": "1"}]
    )
    url = stack.serve(backends[0])
    began = time.monotonic()
    assert httpx.get(f"{url}/sleep/3", timeout=10).status_code == 504
    assert time.monotonic() - began < 2.5


def test_a_group_whose_targets_are_all_unhealthy_fails_open(stack, backends):
    url = stack.serve(*backends)
    for backend in backends:
        backend.health = 500
    eventually(lambda: {state for state, _ in stack.health()} == {"unhealthy"})
    assert httpx.get(f"{url}/anything").status_code == 200


def test_the_target_learns_who_asked_and_how(stack, backends):
    url = stack.serve(backends[0])
    told = httpx.get(f"{url}/a%20b?c=d&c=e", headers={"X-Forwarded-For": "192.0.2.7", "X-Own": "kept"}).json()
    headers = told["headers"]
    assert told["path"] == "/a%20b?c=d&c=e"
    assert headers["X-Forwarded-For"] == "192.0.2.7, 127.0.0.1"
    assert (headers["X-Forwarded-Proto"], headers["X-Forwarded-Port"]) == ("http", "80")
    assert headers["X-Amzn-Trace-Id"].startswith("Root=1-")
    assert (headers["Host"], headers["X-Own"]) == (stack.host, "kept")


def test_bodies_of_some_megabytes_and_heads_pass(stack, backends):
    url = stack.serve(backends[0])
    assert httpx.post(url, content=b"x" * 5_000_000).json()["bytes"] == 5_000_000
    head = httpx.head(f"{url}/anything")
    assert head.status_code == 200
    assert int(head.headers["Content-Length"]) > 0
    assert httpx.get(f"{url}/status/404").status_code == 404


def test_https_shows_the_listeners_certificate_and_a_new_one_on_the_next_handshake(stack, backends, clients):
    acm = clients("acm")
    first, second = (
        acm.import_certificate(Certificate=certificate, PrivateKey=key)["CertificateArn"]
        for certificate, key in (certificate_and_key("one.example"), certificate_and_key("two.example"))
    )
    stack.register(backends[0].address)
    listener = stack.listen(443, "HTTPS", Certificates=[{"CertificateArn": first}])
    stack.wait("target_in_service")
    assert httpx.get(f"https://{stack.host}/", verify=False).json()["headers"]["X-Forwarded-Proto"] == "https"
    assert certificate_of(stack.host) == "one.example"
    stack.elbv2.modify_listener(ListenerArn=listener, Certificates=[{"CertificateArn": second}])
    eventually(lambda: certificate_of(stack.host) == "two.example")


def test_a_redirect_keeps_path_and_query(stack):
    stack.listen(action=redirect())
    answer = eventually(lambda: try_get(f"http://{stack.host}/items?page=2"))
    assert answer.status_code == 301
    assert answer.headers["Location"] == f"https://{stack.host}:443/items?page=2"


def test_rules_come_before_the_default_action_and_listeners_come_and_go(stack, backends):
    url = stack.serve(backends[0])
    listener = stack.listen(8080, action=fixed("default"))
    port_8080 = f"http://{stack.host}:8080"
    assert eventually(lambda: try_get(f"{port_8080}/")).text == "default"
    stack.elbv2.create_rule(
        ListenerArn=listener,
        Priority=1,
        Conditions=[{"Field": "path-pattern", "Values": ["/maintenance*"]}],
        Actions=[fixed("rule")],
    )
    eventually(lambda: httpx.get(f"{port_8080}/maintenance/now").text == "rule")
    assert httpx.get(f"{port_8080}/").text == "default"
    stack.elbv2.delete_listener(ListenerArn=listener)
    eventually(lambda: try_get(f"{port_8080}/") is None)
    assert httpx.get(url).status_code == 200


def test_a_load_balancer_whose_process_is_killed_comes_back(stack, backends, call_tool):
    url = stack.serve(backends[0])
    nodes = call_tool("GET", "/lab/status")["parts"]["ElasticLoadBalancing"].values()
    (node,) = (one for one in nodes if one["address"] == stack.host)
    os.kill(node["pid"], signal.SIGKILL)
    eventually(lambda: try_get(url) is None)
    eventually(lambda: (answer := try_get(url)) and answer.status_code == 200)


def test_deleting_the_load_balancer_ends_its_process(clients, backends):
    stack = Stack(clients, "short-lived")
    url = stack.serve(backends[0])
    stack.elbv2.delete_load_balancer(LoadBalancerArn=stack.arn)
    eventually(lambda: try_get(url) is None)
    assert stack.health() == [("unused", "Target.NotInUse")]


def test_one_port_serves_http_and_https_where_80_and_443_cannot_be_had(tmp_path):
    pem = tmp_path / "shared.pem"
    pem.write_bytes(b"".join(certificate_and_key("shared.example")))
    with unprivileged_load_balancer("127.200.9.1") as (host, exchange):
        exchange(listeners={"a": listening(80, "HTTP", redirect()), "b": listening(443, "HTTPS", fixed("tls"), pem)})
        answer = httpx.get(f"http://{host}/items?page=2")
        assert answer.headers["Location"] == f"https://{host}/items?page=2"
        assert httpx.get(answer.headers["Location"], verify=False).text == "tls"


@contextmanager
def unprivileged_load_balancer(address: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    process = subprocess.Popen([sys.executable, "-m", "lab.load_balancer", address, "9901", "8443"], cwd=PROJECT)

    def exchange(listeners: dict[str, Any]) -> Any:
        state = {"listeners": listeners, "target_groups": {}, "idle_timeout": 60.0}
        return httpx.post(f"http://{address}:9901/", json=state).json()

    try:
        eventually(lambda: try_get(f"http://{address}:9901/"))
        yield f"{address}:8443", exchange
    finally:
        process.terminate()
        assert process.wait(5) == 0


def listening(port: int, protocol: str, action: dict[str, Any], pem: Path | None = None) -> dict[str, Any]:
    rules = [{"conditions": [], "actions": [action]}]
    return {"port": port, "protocol": protocol, "certificate": pem and str(pem), "rules": rules}


def redirect() -> dict[str, Any]:
    return {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}


def fixed(text: str) -> dict[str, Any]:
    config = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": text}
    return {"Type": "fixed-response", "FixedResponseConfig": config}


def try_get(url: str) -> httpx.Response | None:
    try:
        return httpx.get(url, timeout=2)
    except httpx.TransportError:
        return None


def certificate_of(host: str) -> str:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection((host, 443)) as plain, context.wrap_socket(plain) as secure:
        shown = x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")
    return shown.subject.rfc4514_string().removeprefix("CN=")
