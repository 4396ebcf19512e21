"""What AWS looks at before it makes or changes a listener, and moto does not."""

from typing import Any

from moto.acm.models import acm_backends
from moto.elbv2.models import ELBv2Backend

from lab.extend import AWSError, Method, around
from lab.target_health import load_balancers_using


def install() -> None:
    @around(ELBv2Backend, "create_listener")
    def create_listener(original: Method, self: Any, load_balancer_arn: str, **kwargs: Any) -> Any:
        balancer = self.load_balancers.get(load_balancer_arn)
        wanted = kwargs.get("port")
        if balancer and any(str(one.port) == str(wanted) for one in balancer.listeners.values()):
            raise AWSError("DuplicateListener", "A listener already exists on this port for this load balancer")
        _require_certificate(kwargs.get("protocol"), kwargs.get("certificate"))
        _require_free_groups(self, load_balancer_arn, kwargs.get("actions") or [])
        return original(self, load_balancer_arn, **kwargs)

    @around(ELBv2Backend, "modify_listener")
    def modify_listener(original: Method, self: Any, arn: str, *args: Any) -> Any:
        listener = self.describe_listeners(None, [arn])[0]
        certificates, actions = args[3], args[4]
        if certificates:
            _require_certificate("HTTPS", certificates[0]["CertificateArn"])
        _require_free_groups(self, listener.load_balancer_arn, actions or [])
        return original(self, arn, *args)


def _require_certificate(protocol: str | None, arn: str | None) -> None:
    if protocol != "HTTPS":
        return
    if not arn:
        raise AWSError("ValidationError", "A certificate must be specified for HTTPS listeners")
    if ":acm:" not in arn:
        raise AWSError("CertificateNotFound", f"Certificate '{arn}' not found: this lab serves ACM's only")
    _, _, _, region, account, _ = arn.split(":", 5)
    bundle = acm_backends[account][region]._certificates.get(arn)
    if bundle is None:
        raise AWSError("CertificateNotFound", f"Certificate '{arn}' not found")
    bundle.check()
    if bundle.status == "PENDING_VALIDATION":
        words = f"The certificate '{arn}' must have a fully-qualified domain name, a supported signature, and a"
        raise AWSError("UnsupportedCertificate", f"{words} supported key size.")


def _require_free_groups(backend: Any, balancer_arn: str, actions: list[dict[str, Any]]) -> None:
    """A target group belongs to one Application Load Balancer."""
    for action in actions:
        for arn in backend._get_target_group_arns_from(action):
            group = backend.target_groups.get(arn)
            if group is None:
                raise AWSError("TargetGroupNotFound", f"Target group '{arn}' not found")
            if set(load_balancers_using(group)) - {balancer_arn}:
                words = "The following target groups cannot be associated with more than one load balancer"
                raise AWSError("TargetGroupAssociationLimit", f"{words}: {arn}")
