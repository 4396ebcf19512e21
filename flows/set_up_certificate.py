"""Give an environment a certificate, so that its load balancer speaks HTTPS.

When:     before its first deployment; for dev also when its certificate has less than 30 days left.
Impact:   none until the next deploy-infrastructure; dev's expiring certificate is replaced in place.
Rollback: none needed.

Carries out P07: dev's is self-signed; prod's is issued by ACM, which renews it as long as its DNS records stay.
"""

from typing import Annotated

from pydantic import Field

from tasks import acm, terraform
from tasks.command_line import run
from tasks.environment import EnvironmentName
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def set_up_certificate(
    environment: EnvironmentName = "dev", wait_minutes: Annotated[float, Field(ge=0, le=240)] = 30
) -> str:
    """Have a good certificate for the environment's domain name in ACM; started again, it goes on waiting.

    Args:
        environment: dev gets a self-signed one, prod one that browsers trust.
        wait_minutes: How long to wait for prod's DNS records to be seen.
    """
    domain_name = terraform.read_settings(environment)["domain_name"]
    if environment == "dev":
        with phase("apply"):
            certificate = acm.import_self_signed(domain_name)
            say(f"{certificate.domain_name} has {certificate.arn}, valid for {certificate.days_left} days")
        return certificate.arn
    with phase("apply"):
        arn = acm.request_public(domain_name)
        say(f"make these DNS records, and leave them there: {'; '.join(acm.wait_until_records_known(arn))}")
    with phase("verify"):
        certificate = acm.wait_until_issued(arn, wait_minutes)
        say(f"{certificate.domain_name} has {certificate.arn}, {certificate.status}")
        say(f'in terraform/environments/{environment}/terraform.tfvars: ssl_certificate_arn = "{arn}"')
    return arn


if __name__ == "__main__":
    run(set_up_certificate)
