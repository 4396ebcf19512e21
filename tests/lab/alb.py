"""What the load balancer tests share: tiny HTTP backends on loopback addresses, and a stack made through the API."""

import errno
import json
import socket
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.running import clients_of

PORT = 5000
LISTEN_SECONDS = 20
QUICK = {"Delay": 0.1, "MaxAttempts": 150}


def listen(address: str, handler: type[BaseHTTPRequestHandler], kind: type[HTTPServer] = ThreadingHTTPServer) -> Any:
    """A server on `address`:5000, as soon as whoever has the port for a moment has let go of it."""
    deadline = time.monotonic() + LISTEN_SECONDS
    while True:
        try:
            return kind((address, PORT), handler)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


class Backend:
    """An application: /health answers `health`, /sleep/1.5 takes its time, /status/404, /garbage; the rest echoes."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.health = 200
        self.health_seconds = 0.0
        self.start()

    def start(self) -> None:
        backend = self

        class Handler(_Handler):
            application = backend

        self._server = listen(self.address, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    application: Backend

    def do_GET(self) -> None:
        match self.path.strip("/").split("/"):
            case ["health"]:
                time.sleep(self.application.health_seconds)
                self._answer(self.application.health, {})
            case ["sleep", seconds]:
                time.sleep(float(seconds))
                self._answer(200, {"slept": seconds})
            case ["status", status]:
                self._answer(int(status), {})
            case ["garbage"]:
                self.wfile.write(b"this is not HTTP\r\n\r\n")
                self.close_connection = True
            case _:
                self._answer(200, self._echo())

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the names that http.server calls

    def _echo(self) -> dict[str, Any]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        version = self.application.address
        said = {"method": self.command, "path": self.path, "headers": dict(self.headers)}
        return {"version": version, **said, "bytes": len(body), "text": body.decode("latin-1")}

    def _answer(self, status: int, value: dict[str, Any]) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Tests look at answers, not at access logs."""


class Stack:
    """A VPC, an Application Load Balancer and a target group; health checks every 0.1 s on the lab's clock."""

    def __init__(self, client: Callable[..., Any], name: str = "demo") -> None:
        self.elbv2, ec2 = client("elbv2"), client("ec2")
        self.vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        self.subnets = [
            ec2.create_subnet(VpcId=self.vpc, CidrBlock=block, AvailabilityZone=zone)["Subnet"]["SubnetId"]
            for block, zone in (("10.0.1.0/24", "eu-north-1a"), ("10.0.2.0/24", "eu-north-1b"))
        ]
        found = self.elbv2.create_load_balancer(Name=name, Subnets=self.subnets)["LoadBalancers"][0]
        self.arn, self.host = found["LoadBalancerArn"], found["DNSName"]
        self.group = self.target_group(name)

    def start_afresh(self) -> None:
        """The same load balancer with no listener and a new target group: making one takes half a second."""
        for listener in self.elbv2.describe_listeners(LoadBalancerArn=self.arn)["Listeners"]:
            self.elbv2.delete_listener(ListenerArn=listener["ListenerArn"])
            eventually(lambda port=listener["Port"]: not is_open(self.host, port))
        self.group = self.target_group(f"group-{uuid.uuid4().hex[:8]}")

    def target_group(self, name: str, **settings: Any) -> str:
        settings = {
            "Protocol": "HTTP",
            "Port": PORT,
            "VpcId": self.vpc,
            "TargetType": "ip",
            "HealthCheckPath": "/health",
            "HealthCheckIntervalSeconds": 5,
            "HealthCheckTimeoutSeconds": 2,
            "HealthyThresholdCount": 2,
            "UnhealthyThresholdCount": 2,
            **settings,
        }
        arn: str = self.elbv2.create_target_group(Name=name, **settings)["TargetGroups"][0]["TargetGroupArn"]
        self.elbv2.modify_target_group_attributes(
            TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": "50"}]
        )
        return arn

    def listen(self, port: int = 80, protocol: str = "HTTP", action: Any = None, **settings: Any) -> str:
        """A listener; it returns when the load balancer answers."""
        action = action or {"Type": "forward", "TargetGroupArn": self.group}
        listener = self.elbv2.create_listener(
            LoadBalancerArn=self.arn, Port=port, Protocol=protocol, DefaultActions=[action], **settings
        )["Listeners"][0]
        self.elbv2.get_waiter("load_balancer_available").wait(LoadBalancerArns=[self.arn], WaiterConfig=QUICK)
        arn: str = listener["ListenerArn"]
        return arn

    def register(self, *ids: str) -> None:
        self.elbv2.register_targets(TargetGroupArn=self.group, Targets=[{"Id": one} for one in ids])

    def deregister(self, *ids: str) -> None:
        self.elbv2.deregister_targets(TargetGroupArn=self.group, Targets=[{"Id": one} for one in ids])

    def serve(self, *backends: Backend) -> str:
        """Listen on port 80 with these backends in service; returns the URL."""
        self.register(*(backend.address for backend in backends))
        self.listen()
        self.wait("target_in_service")
        return f"http://{self.host}"

    def wait(self, waiter: str, *ids: str) -> None:
        targets = {"Targets": [{"Id": one} for one in ids]} if ids else {}
        self.elbv2.get_waiter(waiter).wait(TargetGroupArn=self.group, WaiterConfig=QUICK, **targets)

    def health(self, target: str | None = None) -> list[tuple[str, str | None]]:
        targets = {"Targets": [{"Id": target}]} if target else {}
        found = self.elbv2.describe_target_health(TargetGroupArn=self.group, **targets)
        health = [one["TargetHealth"] for one in found["TargetHealthDescriptions"]]
        return [(one["State"], one.get("Reason")) for one in health]


def fresh_clients(lab: dict[str, Any]) -> Callable[..., Any]:
    """A lab with nothing in it, and its boto3 clients, for the tests of a whole module."""
    httpx.post(f"{lab['url']}/lab/reset", timeout=60).raise_for_status()
    return clients_of(lab)


def is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def eventually(question: Callable[[], Any], seconds: float = 10.0) -> Any:
    """The first true answer."""
    deadline = time.monotonic() + seconds
    while not (answer := question()):
        assert time.monotonic() < deadline, f"still {answer!r} after {seconds} s"
        time.sleep(0.05)
    return answer


def certificate_and_key(domain: str, days: int = 90) -> tuple[bytes, bytes]:
    """A self-signed certificate and its private key, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domain)])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=days, minutes=5))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    no_encryption = serialization.NoEncryption()
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, no_encryption)
    return certificate.public_bytes(pem), private
