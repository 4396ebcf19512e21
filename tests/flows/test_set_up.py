"""Setting up the account and dev's certificate: twice is safe, and what somebody broke is repaired."""

from collections.abc import Callable
from typing import Any

import httpx

from flows.set_up_account import set_up_account
from flows.set_up_certificate import set_up_certificate

ANY_KEY = {"keyTypes": ["RSA_2048", "EC_prime256v1"]}
BUCKET = "terraform-state-demo-flask-app-123456789012"


def test_an_account_has_a_bucket_a_lock_table_and_a_repository_and_a_second_run_repairs_and_keeps_the_state(
    account: dict[str, Any], client: Callable[[str], Any]
) -> None:
    assert set_up_account(return_state=True).is_completed()  # type: ignore[call-overload]
    s3 = client("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert all(s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"].values())
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    table = client("dynamodb").describe_table(TableName="terraform-state-lock-demo-flask-app")["Table"]
    assert table["TableStatus"] == "ACTIVE"
    (repository,) = client("ecr").describe_repositories()["repositories"]
    assert repository["imageTagMutability"] == "IMMUTABLE"
    state = s3.get_object(Bucket=BUCKET, Key="shared/terraform.tfstate")["Body"].read()
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
    assert set_up_account(return_state=True).is_completed()  # type: ignore[call-overload]
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    assert s3.get_object(Bucket=BUCKET, Key="shared/terraform.tfstate")["Body"].read() == state


def test_a_certificate_is_made_once(account: dict[str, Any], client: Callable[[str], Any]) -> None:
    first = set_up_certificate()
    assert set_up_certificate() == first
    (found,) = client("acm").list_certificates(Includes=ANY_KEY)["CertificateSummaryList"]
    assert found["DomainName"] == "dev.demo-flask-app.example.com"


def test_prod_asks_acm_once_tells_the_dns_records_and_goes_on_waiting_until_it_is_issued(
    account: dict[str, Any], client: Callable[[str], Any], prefect_server: str
) -> None:
    waiting = set_up_certificate("prod", wait_minutes=0, return_state=True)  # type: ignore[call-overload]
    assert waiting.is_failed()
    assert "expected ISSUED, once its DNS records are there" in str(waiting.result(raise_on_failure=False))
    page = httpx.get(f"{prefect_server}/artifacts/set-up-certificate-prod/latest").raise_for_status().json()["data"]
    assert " CNAME " in page
    arn = set_up_certificate("prod")
    (found,) = client("acm").list_certificates(Includes=ANY_KEY)["CertificateSummaryList"]
    assert (found["CertificateArn"], found["Status"], found["Type"]) == (arn, "ISSUED", "AMAZON_ISSUED")
