"""The lab's one process: the AWS API over HTTP, and the control loop that makes its resources real."""

import json
import logging
import os
import re
import signal
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import psutil
from moto.core.base_backend import BackendDict
from moto.ec2.models import ec2_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server
from werkzeug.wrappers import Request, Response

from lab import aging, amis, bill, extend
from lab.clock import Clock
from lab.cost_explorer import CostExplorer
from lab.faults import Fault
from lab.front_door import Environ, FrontDoor, StartResponse, UnknownService
from lab.lab import ACCOUNT, REGION, Lab
from lab.network import API_PORT, NoFreeNetwork, claim_network
from lab.parts import build_parts
from lab.supervisor import READY_FILE, bury

log = logging.getLogger("lab")
P = TypeVar("P")


class QuietHandler(MotoRequestHandler):  # type: ignore[misc]
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body go out in two writes: the second would wait 40 ms

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """The call log is the record; a second one on stderr would bury the lab's own words."""


def create_app(service: str | None) -> Any:
    """moto's application for one service."""
    if service is None:
        raise UnknownService
    return create_backend_app(service)


class LabServer:
    """Answers AWS calls, and the lab's own questions below `/lab/`."""

    def __init__(self, lab: Lab, listener: socket.socket) -> None:
        self.lab = lab
        own = {
            "pricing": lab.prices.answer,
            "cost-optimization-hub": lab.hub.answer,
            "compute-optimizer": lab.optimizer.answer,
        }
        self.front_door = FrontDoor(DomainDispatcherApplication(create_app), lab.lock, lab.faults, own)
        host, port = listener.getsockname()
        self._http = make_server(
            host, port, self._route, threaded=True, request_handler=QuietHandler, fd=listener.fileno()
        )

    def serve(self) -> None:
        threading.Thread(target=self.lab.run_control_loop, name="control-loop", daemon=True).start()
        self._http.serve_forever(poll_interval=0.1)

    def shut_down(self) -> None:
        self._http.shutdown()

    def _route(self, environ: Environ, start: StartResponse) -> Any:
        path = environ.get("PATH_INFO", "")
        if path == "/moto-api/reset":  # moto's own would leave the real things running
            path = "/lab/reset"
        if path.startswith("/lab/"):
            return self._answer_tool(Request(environ), path)(environ, start)
        self.lab.awake.wait()
        return self.front_door(environ, start)

    def _answer_tool(self, request: Request, path: str) -> Response:
        match request.method, path:
            case "GET", "/lab/status":
                return _json({"home": str(self.lab.home), "speed": self.lab.clock.speed, "parts": self._states()})
            case "GET", "/lab/calls":
                return _json(self.front_door.call_log(float(request.args.get("since", 0))))
            case "GET", "/lab/counts":
                return _json(dict(self.front_door.counts))
            case _, "/lab/faults":
                return self._answer_faults(request)
            case _, "/lab/quotas":
                return self._answer_quotas(request)
            case _, "/lab/amis":
                return self._answer_amis(request)
            case "GET", "/lab/bill":
                with self.lab.lock:
                    return _json(bill.tell(self.lab.prices))
            case "POST", "/lab/advice" | "/lab/age" | "/lab/bill" | "/lab/costs" | "/lab/prices":
                return self._answer_told(request, path)
            case "POST", "/lab/reset":
                self._reset()
                return _json({})
        return Response(f"the lab has no {request.method} {path}\n", status=404)

    def _answer_faults(self, request: Request) -> Response:
        match request.method:
            case "POST":
                try:
                    fault = Fault(**json.loads(request.get_data()))
                except (TypeError, ValueError, re.error) as error:
                    return Response(f"not a fault: {error}\n", status=400)
                self.lab.faults.add(fault)
                return _json({"id": fault.id})
            case "DELETE":
                self.lab.faults.remove(request.args.get("id"))
        return _json([asdict(fault) for fault in self.lab.faults.planned])

    def _answer_quotas(self, request: Request) -> Response:
        """GET: how many there may be. POST {"ManualSnapshots": 3}: that many from now on, until the next reset."""
        if request.method == "POST":
            try:
                self.lab.quotas.change(json.loads(request.get_data()))
            except (AttributeError, ValueError) as error:
                return Response(f"not a quota: {error}\n", status=400)
        return _json(self.lab.quotas.most)

    def _answer_amis(self, request: Request) -> Response:
        """GET: the releases that were published, oldest first. POST {"fixes": ["CVE-2026-0001"]}: the next one."""
        with self.lab.lock:
            if request.method != "POST":
                return _json([asdict(one) for one in amis.releases(ec2_backends[ACCOUNT][REGION])])
            try:
                return _json(amis.publish(**json.loads(request.get_data() or "{}")))
            except (TypeError, ValueError) as error:
                return Response(f"not a release: {error}\n", status=400)

    def _answer_told(self, request: Request, path: str) -> Response:
        """POST what the file of whoever is told describes: it counts until the next, or a reset."""
        tell: dict[str, Callable[[Any], Any]] = {
            "/lab/advice": self._advise,
            "/lab/age": lambda told: aging.age(float(told["days"])),
            "/lab/bill": lambda told: self._part(CostExplorer).add(bill.write(self.lab.prices, told)),
            "/lab/costs": self._part(CostExplorer).tell,
            "/lab/prices": self.lab.prices.tell,
        }
        with self.lab.lock:
            try:
                return _json(tell[path](json.loads(request.get_data())))
            except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
                return Response(f"not understood: {error!r}\n", status=400)

    def _advise(self, told: dict[str, Any]) -> dict[str, Any]:
        """`recommendations` of Cost Optimization Hub, `compute_optimizer` of Compute Optimizer, or both."""
        hub, optimizer = told.get("recommendations"), told.get("compute_optimizer")
        found = self.lab.hub.tell(told) if hub is not None else {}
        return found | (self.lab.optimizer.tell(optimizer) if optimizer is not None else {})

    def _part(self, kind: type[P]) -> P:
        return next(part for part in self.lab.parts if isinstance(part, kind))

    def _states(self) -> dict[str, Any]:
        with self.lab.lock:
            return {type(p).__name__: p.status() for p in self.lab.parts if hasattr(p, "status")}

    def _reset(self) -> None:
        self.lab.reset(BackendDict.reset)
        self.front_door.forget()
        self.lab.quotas.forget()
        self.lab.prices.forget()
        self.lab.hub.forget()
        self.lab.optimizer.forget()


def _json(value: Any) -> Response:
    return Response(json.dumps(value, default=str), mimetype="application/json")


def open_lab(home: Path, speed: float) -> tuple[Lab, socket.socket]:
    """A lab with all its parts installed, on the first free piece of the loopback network."""
    network, listener = claim_network()
    address = listener.getsockname()[0]
    lab = Lab(home, f"http://{address}:{API_PORT}", Clock(speed), network)
    lab.parts.extend(build_parts(lab))
    extend.keep_no_dead_models()
    extend.make_nothing_anew_at_reset()
    extend.refuse_unknown_operations()
    for part in lab.parts:
        part.install()
    return lab, listener


def main(home: Path, speed: float) -> None:
    """Run a lab in this process until SIGTERM, or until its supervisor is gone."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    supervisor = os.getppid()
    try:
        lab, listener = open_lab(home, speed)
    except NoFreeNetwork as error:
        sys.exit(str(error))
    server = LabServer(lab, listener)
    for wanted in (signal.SIGTERM, signal.SIGINT):
        signal.signal(wanted, lambda *_: threading.Thread(target=server.shut_down).start())
    tell_ready(lab)
    try:
        server.serve()
    finally:
        lab.stop()
        if os.getppid() != supervisor:
            bury(home)
        logging.shutdown()
        os._exit(0)  # the interpreter's own end would wait for slow work that nobody needs any more


def tell_ready(lab: Lab) -> None:
    """Write the file that says: this lab can be called."""
    ready = {
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "url": lab.endpoint_url,
        "env": lab.client_environment(),
        "speed": lab.clock.speed,
    }
    (lab.home / f"{READY_FILE}.new").write_text(json.dumps(ready))
    (lab.home / f"{READY_FILE}.new").rename(lab.home / READY_FILE)
    log.info("ready at %s", lab.endpoint_url)


if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]))
