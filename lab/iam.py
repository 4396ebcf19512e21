"""IAM: the credential report as AWS writes it, simulated policies, and AWS's own policies loaded once."""

import pickle
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.iam.models import AWSManagedPolicy, IAMBackend
from moto.iam.responses import IamResponse

from lab.extend import AWSError, Method, around, operation
from lab.iam_simulation import simulate_principal_policy
from lab.lab import Lab

REPORT_SECONDS = 5.0
REPORT_KEPT_SECONDS = 4 * 3600.0
ROOT_CREATED = "2020-01-01T00:00:00+00:00"
COLUMNS = (
    "user,arn,user_creation_time,password_enabled,password_last_used,password_last_changed,password_next_rotation,"
    "mfa_active,access_key_1_active,access_key_1_last_rotated,access_key_1_last_used_date,"
    "access_key_1_last_used_region,access_key_1_last_used_service,access_key_2_active,access_key_2_last_rotated,"
    "access_key_2_last_used_date,access_key_2_last_used_region,access_key_2_last_used_service,cert_1_active,"
    "cert_1_last_rotated,cert_2_active,cert_2_last_rotated"
)
NO_KEY = ["false", "N/A", "N/A", "N/A", "N/A"]
NO_CERTIFICATES = ["false", "N/A", "false", "N/A"]
_aws_policies: dict[str, bytes] = {}  # by account


@dataclass(frozen=True)
class CredentialReport:
    """Kept in the IAM backend's `credential_report`; readable once `ready_at` has passed."""

    generated: datetime
    ready_at: float
    stale_at: float
    content: str

    def is_ready(self) -> bool:
        return time.monotonic() >= self.ready_at


class IdentityAndAccessManagement:
    def __init__(self, lab: Lab) -> None:
        self._clock = lab.clock

    def install(self) -> None:
        operation(IamResponse, "GenerateCredentialReport")(self._generate)
        operation(IamResponse, "GetCredentialReport")(get_credential_report)
        operation(IamResponse, "SimulatePrincipalPolicy")(simulate_principal_policy)
        around(IAMBackend, "_init_aws_policies")(init_aws_policies)

    def tick(self) -> None:
        """Nothing moves by itself."""

    def reset(self) -> None:
        """Nothing real belongs to IAM."""

    def _generate(self, responses: Any) -> dict[str, Any]:
        report: CredentialReport | None = responses.backend.credential_report
        if report and time.monotonic() < report.stale_at:
            return {"State": "COMPLETE" if report.is_ready() else "INPROGRESS"}
        responses.backend.credential_report = CredentialReport(
            generated=datetime.now(UTC),
            ready_at=self._clock.deadline(REPORT_SECONDS),
            stale_at=self._clock.deadline(REPORT_KEPT_SECONDS),
            content=write_report(responses.backend),
        )
        return {"State": "STARTED", "Description": "No report exists. Starting a new report generation task"}


def get_credential_report(self: Any) -> dict[str, Any]:
    report: CredentialReport | None = self.backend.credential_report
    if report is None:
        raise AWSError("ReportNotPresent", "No report exists. Call GenerateCredentialReport to generate one.")
    if not report.is_ready():
        raise AWSError("ReportInProgress", "Report is not yet generated.")
    return {"Content": report.content, "ReportFormat": "text/csv", "GeneratedTime": report.generated}


def write_report(backend: Any) -> str:
    root = ["<root_account>", f"arn:aws:iam::{backend.account_id}:root", ROOT_CREATED, "not_supported"]
    root += ["no_information", "not_supported", "not_supported", "true", *NO_KEY, *NO_KEY, *NO_CERTIFICATES]
    rows = [root, *(_row(user) for user in backend.users.values())]
    return "\n".join([COLUMNS, *(",".join(row) for row in rows)]) + "\n"


def _row(user: Any) -> list[str]:
    keys = [_key(key) for key in user.access_keys[:2]]
    changed = _stamp(user.create_date) if user.password else "N/A"
    used = _stamp(user.password_last_used) if user.password_last_used else "no_information"
    return [
        user.name,
        user.arn,
        _stamp(user.create_date),
        "true" if user.password else "false",
        used if user.password else "N/A",
        changed,
        "N/A",
        "true" if user.mfa_devices else "false",
        *[cell for key in [*keys, NO_KEY, NO_KEY][:2] for cell in key],
        *NO_CERTIFICATES,
    ]


def _key(key: Any) -> list[str]:
    used = _stamp(key.last_used) if key.last_used else "N/A"
    where = ["N/A", "N/A"] if used == "N/A" else [key.region or "N/A", key.service or "N/A"]
    return ["true" if key.status == "Active" else "false", _stamp(key.create_date), used, *where]


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")


def init_aws_policies(original: Method, self: IAMBackend) -> list[AWSManagedPolicy]:
    """AWS's 1500 policies for the one partition that the lab has, read once; moto reads them for six, at each reset."""
    if self.region_name != "aws":
        return []
    if self.account_id not in _aws_policies:
        _aws_policies[self.account_id] = pickle.dumps(original(self))
    policies: list[AWSManagedPolicy] = pickle.loads(_aws_policies[self.account_id])  # noqa: S301 - our own
    return policies
