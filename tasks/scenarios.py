"""Every drill by its name."""

from typing import Literal

from tasks import scenarios_fleet
from tasks.drill import Scenario

ScenarioName = Literal["lost-instance", "bad-release", "orchestrator-lost"]
SCENARIOS: dict[str, Scenario] = {one.name: one for one in (*scenarios_fleet.SCENARIOS,)}
