"""Compute Optimizer: not opted in, until `POST /lab/advice` tells with `compute_optimizer` what each operation answers.

Such as `{"GetEC2InstanceRecommendations": {"instanceRecommendations": [...]}}`; the others then find nothing.
"""

from collections.abc import Mapping
from typing import Any

from lab.extend import AWSError

ANSWERS = {
    "GetEC2InstanceRecommendations": "instanceRecommendations",
    "GetAutoScalingGroupRecommendations": "autoScalingGroupRecommendations",
    "GetEBSVolumeRecommendations": "volumeRecommendations",
    "GetRDSDatabaseRecommendations": "rdsDBRecommendations",
}
REFUSED = "The account is not opted in to AWS Compute Optimizer."


class ComputeOptimizer:
    def __init__(self) -> None:
        self._told: Mapping[str, Any] | None = None

    def tell(self, told: Mapping[str, Any]) -> dict[str, int]:
        self._told = dict(told)
        return {name: len(answer[ANSWERS[name]]) for name, answer in told.items()}

    def forget(self) -> None:
        self._told = None

    def answer(self, operation: str, _region: str, _asked: Mapping[str, Any]) -> Mapping[str, Any]:
        if operation == "GetEnrollmentStatus":
            return {"status": "Inactive" if self._told is None else "Active", "memberAccountsEnrolled": False}
        if operation not in ANSWERS:
            raise AWSError("InvalidAction", f"The action {operation} is not offered by this lab.")
        if self._told is None:
            raise AWSError("OptInRequiredException", REFUSED)
        found: Mapping[str, Any] = self._told.get(operation, {ANSWERS[operation]: []})
        return found
