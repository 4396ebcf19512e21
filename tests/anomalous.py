"""Accounts of many services with planted anomalies, as daily charges: growing, weekly, monthly, appearing, ending."""

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from tasks.cost_anomalies import DAYS_ASKED, find_anomalies
from tasks.cost_explorer import Charge
from tasks.month import Month
from tests.account import noisy

MONTH = Month.read("2026-10")
FIRST = MONTH.end - timedelta(DAYS_ASKED)
SERVICES = 12
UNSEEN = range(1000, 1040)  # the method was made with the seeds below 40 in view


@dataclass
class Score:
    """How many anomalies were planted and found, and how many findings were of no plant."""

    planted: int = 0
    found: int = 0
    false: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.planted

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.false)


def judge(seeds: Iterable[int]) -> Score:
    score = Score()
    for seed in seeds:
        charges, plants = build(seed)
        findings = find_anomalies(charges, MONTH)
        matched = {one.service for one in findings if any(_is(one.service, one.first, plant) for plant in plants)}
        score.planted += len(plants)
        score.found += len(matched)
        score.false += sum(not any(_is(one.service, one.first, plant) for plant in plants) for one in findings)
    return score


def _is(service: str, first: date, plant: tuple[str, date, int]) -> bool:
    name, day, length = plant
    return service == name and day <= first < day + timedelta(length)


def build(seed: int) -> tuple[list[Charge], list[tuple[str, date, int]]]:
    """The charges, and the plants: service, first day, days. Every third service has one, of twice to six times."""
    dice = random.Random(seed)  # noqa: S311 - a repeatable account, not cryptography
    charges: list[Charge] = []
    plants = []
    for number in range(SERVICES):
        name = f"service {number}"
        amounts = list(_kind(dice, number, seed * 100 + number))
        if number % 3 == 0:
            length, day = dice.choice((1, 1, 2, 3)), MONTH.first + timedelta(dice.randrange(MONTH.days - 3))
            at = (day - FIRST).days
            factor = Decimal(str(dice.choice((2, 3, 6))))
            amounts[at : at + length] = [one * factor for one in amounts[at : at + length]]
            plants.append((name, day, length))
        charges += [_charge(FIRST + timedelta(n), name, one) for n, one in enumerate(amounts) if one]
    return charges, plants


def _kind(dice: random.Random, number: int, seed: int) -> Iterator[Decimal]:
    """Dollars a day."""
    size = dice.uniform(4, 200)
    daily = noisy(seed, size, growth=(0.0, 0.05, -0.04)[number % 3], weekend=(1.0, 0.5)[number % 2], first=FIRST)
    days = daily[:DAYS_ASKED]
    shape = ("steady", "monthly", "appears", "ends")[number // 3 % 4] if number % 3 else "steady"
    for n, one in enumerate(days):
        day = FIRST + timedelta(n)
        if shape == "monthly":
            yield one * 20 if day.day == 1 else one / 10
        elif shape == "appears":
            yield one if n > DAYS_ASKED - 20 else Decimal(0)
        elif shape == "ends":
            yield one if n < DAYS_ASKED - 40 else Decimal(0)
        else:
            yield one


def _charge(day: date, service: str, amount: Decimal) -> Charge:
    return Charge(day, (service,), amount, amount, Decimal(0), "N/A")
