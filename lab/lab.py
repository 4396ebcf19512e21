"""The lab as one object: its folder, clock and network, and the parts that make moto's resources real."""

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lab.clock import Clock, Minutes
from lab.compute_optimizer import ComputeOptimizer
from lab.faults import Faults
from lab.network import Network
from lab.optimization_hub import OptimizationHub
from lab.price_list import PriceLists
from lab.quotas import Quotas

ACCOUNT = "123456789012"
REGION = "eu-north-1"
TICK_SECONDS = 0.1
RESET_SECONDS = 20.0

log = logging.getLogger("lab")


class Part(Protocol):
    """What stands for one AWS service: it extends moto, and makes the machine match moto's state."""

    def install(self) -> None:
        """Extend moto. Called once per process, before the first request."""

    def tick(self) -> None:
        """One step of the control loop, with `lab.lock` held: look, decide, hand slow work to `lab.work`."""

    def reset(self) -> None:
        """Stop everything real; moto's state is dropped right after. Called without the lock."""


@dataclass
class Lab:
    home: Path
    endpoint_url: str
    clock: Clock
    network: Network
    # Held by every API request and every tick. Slow work takes it only to write down its outcome.
    lock: threading.RLock = field(default_factory=threading.RLock)
    parts: list[Part] = field(default_factory=list)
    faults: Faults = field(default_factory=Faults)
    quotas: Quotas = field(default_factory=Quotas)
    prices: PriceLists = field(default_factory=PriceLists)
    hub: OptimizationHub = field(default_factory=OptimizationHub)
    optimizer: ComputeOptimizer = field(default_factory=ComputeOptimizer)
    # Clear while the lab forgets everything: no tick and no request sees a half-stopped world.
    awake: threading.Event = field(default_factory=threading.Event)
    minutes: Minutes = field(init=False)
    _under_way: "set[Future[Any]]" = field(default_factory=set)
    _workers: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(32, "lab-work"))
    _stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.minutes = Minutes(self.clock)

    def folder(self, *names: str) -> Path:
        path = self.home.joinpath(*names)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def client_environment(self) -> dict[str, str]:
        """The standard variables through which every AWS client finds this lab."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def work(self, slow: Callable[..., Any], *args: Any) -> "Future[Any]":
        """Run slow work beside the control loop. What it raises is logged, never lost."""
        future = self._workers.submit(slow, *args)
        self._under_way.add(future)
        future.add_done_callback(self._under_way.discard)
        future.add_done_callback(_log_failure)
        return future

    def run_control_loop(self) -> None:
        self.awake.set()
        while not self._stopping.wait(TICK_SECONDS):
            self.minutes.pass_by()
            for part in self.parts:
                self._tick(part)

    def _tick(self, part: Part) -> None:
        with self.lock:
            if not self.awake.is_set():
                return
            try:
                part.tick()
            except Exception:  # a control plane outlives any one broken resource; it is logged
                log.exception("control loop: %s", type(part).__name__)

    def reset(self, forget: Callable[[], None]) -> None:
        """Stop everything real, then let `forget` drop moto's state; nothing else happens meanwhile."""
        with self.lock:
            self.awake.clear()
        try:
            self._stop_parts()
            with self.lock:
                forget()
        finally:
            self.awake.set()

    def stop(self) -> None:
        self._stopping.set()
        with self.lock:
            self.awake.clear()
        self._stop_parts()
        self._workers.shutdown(wait=False, cancel_futures=True)

    def _stop_parts(self) -> None:
        for part in reversed(self.parts):
            try:
                part.reset()
            except Exception:  # the other parts must still be stopped; it is logged
                log.exception("reset: %s", type(part).__name__)
        _, late = wait(tuple(self._under_way), timeout=RESET_SECONDS)
        if late:
            log.warning("%d pieces of slow work did not end within %.0f s", len(late), RESET_SECONDS)


def _log_failure(future: "Future[Any]") -> None:
    if not future.cancelled() and (error := future.exception()):
        log.error("lab work failed", exc_info=error)
