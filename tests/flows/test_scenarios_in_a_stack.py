"""Drills that need no more than a stack: its certificate expires, its database has no connection left."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tasks import scenarios_database, scenarios_edge, sessions, state_backend, terraform, traffic
from tasks.drill import Scenario
from tasks.environment import describe_environment
from tasks.errors import PreconditionFailed
from tasks.scenarios_database import EXHAUSTED_CONNECTIONS
from tasks.scenarios_edge import EXPIRED_CERTIFICATE
from tests.drilling import (
    DRILL,
    drill,
    kill_everywhere,
    last_journal,
    message,
    require_proven,
    require_red_and_undone,
    sabotaged,
)
from tests.drilling import situation as find_situation
from tests.stack import Stack
from tests.storm import Storm, is_alive

SOON, FEW, ATTEMPTS = timedelta(seconds=3), 15, 3
CERTIFICATE, CONNECTIONS = EXPIRED_CERTIFICATE.name, EXHAUSTED_CONNECTIONS.name


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenarios_edge, "EXPIRES_AFTER", SOON)
    monkeypatch.setattr(scenarios_database, "IDLE_MINUTES", 0.01)
    monkeypatch.setattr(traffic, "EVERY_SECONDS", 0.1)  # the lab renews a certificate in less than a second


@pytest.fixture
def stack(storm: Storm) -> Iterator[Stack]:
    state_backend.ensure_state_bucket.fn(terraform.state_bucket())
    yield storm.stack
    httpx.delete(f"{storm.stack.lab['url']}/lab/faults").raise_for_status()


def certificates(stack: Stack) -> list[dict[str, Any]]:
    """Every certificate that there is, whatever its key and state."""
    listed = stack.clients("acm").list_certificates(Includes={"keyTypes": ["RSA_2048", "EC_prime256v1"]})
    return list(listed["CertificateSummaryList"])


def test_an_expired_certificate_is_refused_and_its_replacement_trusted_by_the_same_listener(stack: Stack) -> None:
    dry = drill(CERTIFICATE, dry_run=True)
    assert dry.is_completed(), message(dry)
    (before,) = certificates(stack)
    require_proven(drill(CERTIFICATE))
    journal, (after,) = last_journal(), certificates(stack)
    assert after["CertificateArn"] == before["CertificateArn"] == journal.radius.targets[0].id == stack.certificate
    assert after["NotAfter"] > before["NotAfter"]
    assert journal.traffic.failed > 0


def test_a_certificate_that_can_not_be_replaced_makes_the_drill_red_and_is_replaced_by_its_undo(stack: Stack) -> None:
    def deny() -> None:
        stack.fault(match="acm:ImportCertificate", kind="error", code="AccessDeniedException", times=ATTEMPTS)

    with sabotaged(CERTIFICATE, deny):
        require_red_and_undone(drill(CERTIFICATE), "set-up-certificate ended Failed")
    one = find_situation(EXPIRED_CERTIFICATE)
    assert EXPIRED_CERTIFICATE.steady(one) == []
    EXPIRED_CERTIFICATE.method[0].undo(one)  # never begun, and recovered from: nothing to take back
    assert len(certificates(stack)) == 1


def test_a_certificate_that_could_not_be_made_again_is_left_alone(stack: Stack) -> None:
    asked = {"DomainName": "www.example.com", "ValidationMethod": "DNS"}
    issued = stack.clients("acm").request_certificate(**asked)["CertificateArn"]
    where = describe_environment.fn("dev")
    with pytest.raises(PreconditionFailed, match="set_up_certificate has made"):
        EXPIRED_CERTIFICATE.resolve(replace(where, ssl_certificate_arn=issued))
    with pytest.raises(PreconditionFailed, match="is none"):
        EXPIRED_CERTIFICATE.resolve(replace(where, ssl_certificate_arn=None))
    stack.clients("acm").delete_certificate(CertificateArn=issued)


def test_connections_that_nobody_uses_are_exhausted_and_come_back(stack: Stack) -> None:
    require_proven(drill(CONNECTIONS))
    assert sessions.plan_end.fn("dev", 0.0).used < FEW


def test_a_recovery_that_ends_no_session_is_green_and_the_drill_is_not(stack: Stack) -> None:
    with sabotaged(CONNECTIONS, lambda: None, idle_minutes=60):
        require_red_and_undone(drill(CONNECTIONS), "connections are in use")
    assert sessions.plan_end.fn("dev", 0.0).used < FEW


def test_the_undo_ends_what_another_process_holds_and_twice_is_once(storm: Storm, stack: Stack) -> None:
    one, (step,) = find_situation(EXHAUSTED_CONNECTIONS), EXHAUSTED_CONNECTIONS.method
    step.undo(one)
    other = storm.hold(DRILL)
    for _ in range(2):
        step.do(one)
    step.undo(one)
    assert not is_alive(other)
    assert EXHAUSTED_CONNECTIONS.steady(one) == []


@pytest.mark.exhaustive
@pytest.mark.parametrize("scenario", [EXPIRED_CERTIFICATE, EXHAUSTED_CONNECTIONS], ids=lambda one: one.name)
def test_killed_at_every_task_boundary_it_is_all_good_again(
    stack: Stack, storm_environment: dict[str, str], scenario: Scenario
) -> None:
    settings = {"tasks.scenarios_database.IDLE_MINUTES": 0.01}
    kill_everywhere(scenario.name, {**storm_environment, "SETTINGS": json.dumps(settings)})
    assert scenario.steady(find_situation(scenario)) == []
