"""What one layer of a verification says."""

from collections.abc import Iterable
from dataclasses import dataclass

from tasks.errors import VerificationFailed


@dataclass(frozen=True)
class Verdict:
    """`reasons` say why the layer is not verified - the thing, what was seen, what was expected; none: it is."""

    layer: str
    reasons: tuple[str, ...]
    facts: tuple[str, ...] = ()

    @property
    def is_good(self) -> bool:
        return not self.reasons

    def __str__(self) -> str:
        return f"{self.layer}: {'verified' if self.is_good else 'NOT VERIFIED'}"


def require_good(verdicts: Iterable[Verdict]) -> None:
    """
    Raises:
        VerificationFailed: with every reason of every layer.
    """
    if reasons := [f"{verdict.layer}: {reason}" for verdict in verdicts for reason in verdict.reasons]:
        raise VerificationFailed("; ".join(reasons))
