"""Drills that need no more than a stack: its certificate expires, its database has no connection left."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tasks import scenarios_database, scenarios_edge, sessions
from tasks.environment import describe_environment
from tasks.errors import PreconditionFailed
from tasks.scenarios_database import EXHAUSTED_CONNECTIONS
from tasks.scenarios_edge import EXPIRED_CERTIFICATE
from tests.drilling import DRILL, walking
from tests.stack import Stack
from tests.storm import Storm, is_alive

SOON, FEW = timedelta(seconds=3), 15


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios_edge, "EXPIRES_AFTER", SOON)
    monkeypatch.setattr(scenarios_database, "IDLE_MINUTES", 0.01)


@pytest.fixture
def stack(storm: Storm) -> Iterator[Stack]:
    yield storm.stack
    httpx.delete(f"{storm.stack.lab['url']}/lab/faults").raise_for_status()


def certificates(stack: Stack) -> list[dict[str, Any]]:
    """Every certificate that there is, whatever its key and state."""
    listed = stack.clients("acm").list_certificates(Includes={"keyTypes": ["RSA_2048", "EC_prime256v1"]})
    return list(listed["CertificateSummaryList"])


def test_an_expired_certificate_is_refused_and_its_replacement_trusted_by_the_same_listener(stack: Stack) -> None:
    with walking(EXPIRED_CERTIFICATE) as drill:
        drill.undo()  # never begun: nothing to take back
        (before,) = certificates(stack)
        drill.do()
        drill.require_broken()
        assert drill.unrecovered(seconds=0) != []

        # sabotaged: ACM takes no certificate. The recovery is red, and so is the drill.
        stack.fault(match="acm:ImportCertificate", kind="error", code="AccessDeniedException")
        assert drill.recover().is_failed()
        reasons = drill.unrecovered(seconds=0)
        assert any("expires" in reason for reason in reasons)
        httpx.delete(f"{stack.lab['url']}/lab/faults").raise_for_status()

        assert drill.recover().is_completed()
        assert drill.unrecovered() == []
        (after,) = certificates(stack)
        assert after["CertificateArn"] == before["CertificateArn"] == stack.certificate


def test_undo_brings_the_service_back_without_a_recovery(stack: Stack) -> None:
    with walking(EXPIRED_CERTIFICATE) as drill:
        drill.do()
        drill.do()  # by the run that was started again
        drill.require_broken()
    assert len(certificates(stack)) == 1


def test_a_certificate_that_could_not_be_made_again_is_left_alone(stack: Stack) -> None:
    asked = {"DomainName": "www.example.com", "ValidationMethod": "DNS"}
    issued = stack.clients("acm").request_certificate(**asked)["CertificateArn"]
    where = describe_environment.fn("dev")
    with pytest.raises(PreconditionFailed, match="set_up_certificate has made"):
        EXPIRED_CERTIFICATE.resolve(replace(where, ssl_certificate_arn=issued))
    with pytest.raises(PreconditionFailed, match="is none"):
        EXPIRED_CERTIFICATE.resolve(replace(where, ssl_certificate_arn=None))


def test_connections_that_nobody_uses_are_exhausted_and_come_back(storm: Storm, stack: Stack) -> None:
    with walking(EXHAUSTED_CONNECTIONS) as drill:
        drill.undo()  # never begun: nothing to take back
        drill.do()
        drill.require_broken()
        assert len(held(storm)) > FEW

        # sabotaged: the procedure does not take them for idle. It ends green; the drill does not.
        assert drill.recover(idle_minutes=60).is_completed()
        reasons = drill.unrecovered(seconds=0)
        assert any("connections are in use" in reason for reason in reasons)
        assert len(held(storm)) > FEW

        assert drill.recover().is_completed()
        assert drill.unrecovered() == []
        assert held(storm) == []


def test_undo_gives_the_connections_back_also_those_of_a_process_that_lives_on(storm: Storm, stack: Stack) -> None:
    with walking(EXHAUSTED_CONNECTIONS) as drill:
        other = storm.hold(drill.situation.name)
        drill.do()
        drill.do()
        assert len(held(storm)) > FEW
    assert not is_alive(other)
    assert held(storm) == []


def held(storm: Storm) -> list[str]:
    return [one.application for one in sessions.plan_end.fn("dev", 0.0).sessions if one.application == DRILL]
