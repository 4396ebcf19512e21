"""Every drill by its name."""

from typing import Literal

from tasks import scenarios_database, scenarios_edge, scenarios_fleet, scenarios_loss, scenarios_state, scenarios_zone
from tasks.drill import Scenario

ScenarioName = Literal[
    "lost-instance",
    "bad-release",
    "orchestrator-lost",
    "exhausted-connections",
    "accidental-delete",
    "lost-database",
    "whole-environment",
    "expired-certificate",
    "corrupt-state",
    "lost-state",
    "lost-zone",
    "database-failover",
]
SCENARIOS: dict[str, Scenario] = {
    one.name: one
    for room in (scenarios_fleet, scenarios_database, scenarios_loss, scenarios_edge, scenarios_state, scenarios_zone)
    for one in room.SCENARIOS
}
