"""A listener in the load balancer's process: its rules, its actions, and a request's way to a target."""

import asyncio
import fnmatch
import random
import ssl
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import ClientError, ClientSession, ClientTimeout, ConnectionTimeoutError, web
from multidict import CIMultiDict
from yarl import URL

from lab.target_group import Target, TargetGroup

HOP_BY_HOP = {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer"} | {
    "transfer-encoding",
    "upgrade",
    "content-length",
    "expect",
}
OWN_HEADERS = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-port", "x-amzn-trace-id"}


class Metrics:
    """What the load balancer counts between two reports: per metric and target group ("" for none)."""

    def __init__(self) -> None:
        self.counts: Counter[tuple[str, str]] = Counter()
        self.response_times: dict[str, list[float]] = {}

    def take(self) -> dict[str, Any]:
        counts, times = self.counts, self.response_times
        self.__init__()  # type: ignore[misc] # a fresh period
        return {"counts": [[*key, count] for key, count in counts.items()], "response_times": times}


@dataclass
class Listener:
    """Answers every connection that some port of the load balancer hands to it."""

    session: ClientSession
    target_groups: dict[str, TargetGroup]
    metrics: Metrics
    port: int = 0
    protocol: str = "HTTP"
    # The port under which clients reach every listener when 80 and 443 cannot be had.
    shared_port: int | None = None
    ports: frozenset[int] = frozenset()
    idle_timeout: float = 60.0
    rules: list[dict[str, Any]] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    certificate: str | None = None
    server: web.Server = field(init=False)

    def __post_init__(self) -> None:
        self.server = web.Server(self.handle, access_log=None, keepalive_timeout=self.idle_timeout)

    def apply(self, state: dict[str, Any], idle_timeout: float, ports: frozenset[int]) -> None:
        self.port, self.protocol, self.rules = state["port"], state["protocol"], state["rules"]
        self.idle_timeout, self.ports = idle_timeout, ports
        if self.protocol != "HTTPS":
            self.tls = self.certificate = None
        elif state["certificate"] != self.certificate:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(state["certificate"])
            self.certificate = state["certificate"]

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        rule = next(rule for rule in self.rules if all(holds(c, request) for c in rule["conditions"]))
        action = rule["actions"][-1]  # the ones before it authenticate, which the lab does not
        match action["Type"]:
            case "redirect":
                return self._redirect(action["RedirectConfig"], request)
            case "fixed-response":
                return self._fixed_response(action["FixedResponseConfig"])
        return await self._forward(choose_group(action), request)

    def _fixed_response(self, config: dict[str, Any]) -> web.Response:
        self.metrics.counts["HTTP_Fixed_Response_Count", ""] += 1
        return web.Response(
            status=int(config["StatusCode"]),
            text=config.get("MessageBody", ""),
            content_type=config.get("ContentType", "text/plain"),
            headers={"Server": "awselb/2.0"},
        )

    def _redirect(self, config: dict[str, Any], request: web.BaseRequest) -> web.Response:
        self.metrics.counts["HTTP_Redirect_Count", ""] += 1
        known = {
            "#{protocol}": self.protocol.lower(),
            "#{host}": (request.host or "").rsplit(":", 1)[0],
            "#{port}": str(self.port),
            "#{path}": request.rel_url.raw_path.lstrip("/"),
            "#{query}": request.rel_url.raw_query_string,
        }

        def fill(name: str, default: str) -> str:
            text = str(config.get(name) or default)
            for variable, value in known.items():
                text = text.replace(variable, value)
            return text

        host, port = fill("Host", "#{host}"), int(fill("Port", "#{port}"))
        if self.shared_port and host == known["#{host}"] and port in self.ports:
            port = self.shared_port
        location = f"{fill('Protocol', '#{protocol}').lower()}://{host}:{port}{fill('Path', '/#{path}')}"
        if query := fill("Query", "#{query}"):
            location += f"?{query}"
        return answer(int(config["StatusCode"].removeprefix("HTTP_")), {"Location": location})

    async def _forward(self, arn: str, request: web.BaseRequest) -> web.Response:
        group = self.target_groups.get(arn)
        target = group.pick() if group else None
        if group is None or target is None:
            return self._refuse(503)
        body = await request.content.read() if request.can_read_body else None
        self._count("RequestCount", arn)
        target.in_flight += 1
        began = time.monotonic()
        try:
            status, headers, payload = await self._ask(group, target, request, body)
        except TimeoutError as error:
            if isinstance(error, ConnectionTimeoutError):
                self._count("TargetConnectionErrorCount", arn)
            return self._refuse(504)
        except (ClientError, OSError, ValueError, asyncio.IncompleteReadError) as error:
            if isinstance(error, ConnectionRefusedError) or "Connect" in type(error).__name__:
                self._count("TargetConnectionErrorCount", arn)
            return self._refuse(502)
        finally:
            target.in_flight -= 1
        self._count(f"HTTPCode_Target_{status // 100}XX_Count", arn)
        self.metrics.response_times.setdefault(arn, []).append(time.monotonic() - began)
        return response_of(request.method, status, headers, payload)

    async def _ask(
        self, group: TargetGroup, target: Target, request: web.BaseRequest, body: bytes | None
    ) -> tuple[int, CIMultiDict[str], bytes]:
        """One try, as AWS does: a request that a target did not answer is not sent to another one."""
        if target.address is None:
            await asyncio.sleep(group.settings["unreachable_after"])
            raise ConnectionTimeoutError
        async with self.session.request(
            request.method,
            URL(group.url(target) + request.raw_path, encoded=True),
            headers=self._headers_for_target(request),
            data=body,
            timeout=ClientTimeout(sock_connect=group.settings["connect_timeout"], sock_read=self.idle_timeout),
            allow_redirects=False,
            ssl=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
        ) as reply:
            return reply.status, CIMultiDict(reply.headers), await reply.read()

    def _headers_for_target(self, request: web.BaseRequest) -> CIMultiDict[str]:
        headers = CIMultiDict(
            (name, value) for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP | OWN_HEADERS
        )
        before = request.headers.get("X-Forwarded-For")
        headers["X-Forwarded-For"] = f"{before}, {request.remote}" if before else str(request.remote)
        headers["X-Forwarded-Proto"] = self.protocol.lower()
        headers["X-Forwarded-Port"] = str(self.port)
        headers["X-Amzn-Trace-Id"] = trace_id(request.headers.get("X-Amzn-Trace-Id"))
        return headers

    def _count(self, name: str, target_group: str) -> None:
        self.metrics.counts[name, target_group] += 1

    def _refuse(self, status: int) -> web.Response:
        self.metrics.counts["HTTPCode_ELB_5XX_Count", ""] += 1
        self.metrics.counts[f"HTTPCode_ELB_{status}_Count", ""] += 1
        return answer(status, {})


def trace_id(given: str | None) -> str:
    own = f"1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
    return f"Self={own};{given}" if given and "Root=" in given else f"Root={own}"


def answer(status: int, headers: dict[str, str]) -> web.Response:
    """The load balancer's own words, as AWS's nodes say them."""
    title = f"{status} {HTTPStatus(status).phrase}"
    if status == 503:
        title = "503 Service Temporarily Unavailable"
    if status == 504:
        title = "504 Gateway Time-out"
    text = (
        f"<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n"
        f"<center><h1>{title}</h1></center>\r\n</body>\r\n</html>\r\n"
    )
    own = {"Server": "awselb/2.0", **headers}
    return web.Response(status=status, text=text, content_type="text/html", headers=own)


def response_of(method: str, status: int, headers: CIMultiDict[str], payload: bytes) -> web.Response:
    kept = CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)
    if method == "HEAD" and "Content-Length" in headers:
        kept["Content-Length"] = headers["Content-Length"]
    return web.Response(status=status, body=payload or None, headers=kept)


def choose_group(action: dict[str, Any]) -> str:
    if "ForwardConfig" not in action:
        return str(action["TargetGroupArn"])
    groups = action["ForwardConfig"]["TargetGroups"]
    weights = [int(group.get("Weight", 1)) for group in groups]
    chosen = random.choices(groups, weights if any(weights) else None)[0]  # noqa: S311 - traffic
    return str(chosen["TargetGroupArn"])


def holds(condition: dict[str, Any], request: web.BaseRequest) -> bool:
    """Whether a rule's condition is true of a request."""
    config: dict[str, Any] = next((v for k, v in condition.items() if k.endswith("Config")), condition)
    patterns = config["Values"]
    match condition["Field"]:
        case "path-pattern":
            found = [request.rel_url.raw_path]
        case "host-header":
            found, patterns = [(request.host or "").rsplit(":", 1)[0].lower()], [p.lower() for p in patterns]
        case "http-request-method":
            found = [request.method]
        case "http-header":
            found = request.headers.getall(config["HttpHeaderName"], [])
        case "query-string":
            return _query_holds(patterns, request)
        case _:
            return False
    return any(fnmatch.fnmatchcase(value, pattern) for value in found for pattern in patterns)


def _query_holds(wanted: list[dict[str, str]], request: web.BaseRequest) -> bool:
    given = parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True)
    return any(
        fnmatch.fnmatchcase(value, one["Value"]) and fnmatch.fnmatchcase(key, one.get("Key", "*"))
        for one in wanted
        for key, value in given
    )
