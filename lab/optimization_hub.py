"""Cost Optimization Hub: not enrolled, until `POST /lab/advice` tells its recommendations as the API would."""

from collections.abc import Mapping
from typing import Any

from lab.extend import AWSError

REGION = "us-east-1"
REFUSED = "AWS account is not enrolled for recommendations."


class OptimizationHub:
    def __init__(self) -> None:
        self._told: list[dict[str, Any]] | None = None

    def tell(self, told: Mapping[str, Any]) -> dict[str, int]:
        self._told = list(told["recommendations"])
        return {"recommendations": len(self._told)}

    def forget(self) -> None:
        self._told = None

    def answer(self, operation: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if region != REGION:
            raise AWSError("InvalidSignatureException", "Credential should be scoped to a valid region.")
        match operation:
            case "ListEnrollmentStatuses":
                status = "Inactive" if self._told is None else "Active"
                return {"items": [{"accountId": "123456789012", "status": status}]}
            case "ListRecommendations":
                if self._told is None:
                    raise AWSError("AccessDeniedException", REFUSED)
                regions = asked.get("filter", {}).get("regions")
                return {"items": [one for one in self._told if not regions or one.get("region") in regions]}
        raise AWSError("InvalidAction", f"The action {operation} is not offered by this lab.")
