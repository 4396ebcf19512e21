"""Drills of the instances: one is lost, a release is bad, the process that replaces them is lost."""

from tasks.drill import Scenario

SCENARIOS: tuple[Scenario, ...] = ()
