"""The faults that a test asks for: planned misbehaviour of AWS calls."""

import random
import re
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

KINDS = ("error", "latency", "drop", "lost-response", "outcome")
OUTCOMES = ("failed", "incompatible-restore", "never")
WORDS = {"InsufficientInstanceCapacity": "Insufficient capacity."}


@dataclass
class Fault:
    """A planned misbehaviour of the calls whose `service:Operation` matches.

    kind: error (answer `code` with `status`), latency (wait `seconds`, then answer), drop (close the connection,
    nothing done), lost-response (do it, then close the connection), outcome (accept it; what it begins ends in the
    status `code`, or goes on for ever with the code `never`).
    """

    match: str
    kind: str
    times: int | None = None
    probability: float = 1.0
    code: str = "Throttling"
    status: int = 400
    message: str = ""
    seconds: float = 1.0
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind '{self.kind}' is none of {', '.join(KINDS)}")
        if self.kind == "outcome" and self.code not in OUTCOMES:
            raise ValueError(f"code '{self.code}' is none of the outcomes {', '.join(OUTCOMES)}")
        re.compile(self.match)
        self.message = self.message or WORDS.get(self.code, "Rate exceeded")


class Faults:
    """The faults that are planned, in the order in which they came."""

    def __init__(self) -> None:
        self._book = threading.Lock()
        self.planned: list[Fault] = []

    def add(self, fault: Fault) -> None:
        with self._book:
            self.planned.append(fault)

    def remove(self, wanted: str | None = None) -> None:
        """Remove the fault with this id, or all."""
        with self._book:
            self.planned[:] = [fault for fault in self.planned if wanted and fault.id != wanted]

    def take(self, name: str, fits: Callable[[Fault], bool] = lambda _: True) -> Fault | None:
        """The fault that hits this call of `service:Operation`, if any."""
        with self._book:
            for fault in self.planned:
                hit = re.fullmatch(fault.match, name) and (fault.times is None or fault.times > 0) and fits(fault)
                if hit and random.random() < fault.probability:  # noqa: S311 - chaos, not cryptography
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None
