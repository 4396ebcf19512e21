"""Give dev a certificate, so that its load balancer speaks HTTPS as prod's does.

When:     before the first deployment of dev, and when the certificate has less than 30 days left.
Impact:   none until the next deploy-infrastructure; an expiring certificate is replaced in place.
Rollback: none needed.

Carries out P07 for dev. prod takes a certificate that ACM itself issued and renews.
"""

from typing import Literal

from tasks import acm, terraform
from tasks.command_line import run
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def set_up_certificate(environment: Literal["dev"] = "dev") -> str:
    """Import a self-signed certificate for the environment's domain name into ACM, unless a good one is there.

    Args:
        environment: dev only; a self-signed certificate has no place in prod.
    """
    with phase("apply"):
        certificate = acm.import_self_signed(terraform.read_settings(environment)["domain_name"])
        say(f"{certificate.domain_name} has {certificate.arn}, valid for {certificate.days_left} days")
    return certificate.arn


if __name__ == "__main__":
    run(set_up_certificate)
