"""Anomalies that are planted are found; growth, weekends, monthly charges, new and ended services are none."""

from datetime import timedelta
from decimal import Decimal

from tasks.cost_anomalies import find_anomalies
from tasks.cost_explorer import Charge
from tests.account import noisy
from tests.anomalous import FIRST, MONTH, UNSEEN, judge

RECALL, PRECISION = 0.9, 0.9


def charges(amounts: list[Decimal]) -> list[Charge]:
    """A service's charges; a day without any has no charge, as Cost Explorer tells it."""
    found = [Charge(FIRST + timedelta(n), ("rds",), x, x, Decimal(0), "N/A") for n, x in enumerate(amounts) if x]
    return [one for one in found if one.day < MONTH.end]


def test_forty_accounts() -> None:
    score = judge(UNSEEN)
    assert score.planted == 160
    assert score.recall >= RECALL, score
    assert score.precision >= PRECISION, score


def test_neighbouring_days_are_one_anomaly_with_the_money_above_what_was_expected() -> None:
    amounts = [Decimal(10)] * 90
    at = (MONTH.first - FIRST).days + 4
    amounts[at : at + 3] = [Decimal(50)] * 3
    (found,) = find_anomalies(charges(amounts), MONTH)
    assert (found.first, found.last) == (MONTH.first + timedelta(4), MONTH.first + timedelta(6))
    assert found.impact == 120


def test_a_day_without_costs_is_one_too() -> None:
    amounts = [Decimal(10)] * 90
    amounts[(MONTH.first - FIRST).days + 4] = Decimal(0)
    (found,) = find_anomalies(charges(amounts), MONTH)
    assert found.impact == -10


def test_weeks_and_growth_are_no_anomaly() -> None:
    assert not find_anomalies(charges(noisy(3, 80.0, growth=0.1, weekend=0.3, first=FIRST)), MONTH)
