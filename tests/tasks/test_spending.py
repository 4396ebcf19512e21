"""What is asked: always as many questions, and none whose answer grows with services and days."""

from datetime import date
from decimal import Decimal

from tasks.cost_explorer import Answer, Charge
from tasks.month import Month
from tasks.spending import SERVICES_BY_DAY, Spending, _others_by_day, dearest, questions

TODAY, MONTH = date(2026, 11, 26), Month.read("2026-10")


def charge(number: int) -> Charge:
    amount = Decimal(number + 1)
    return Charge(MONTH.first, (f"service {number:03}", "usage"), amount, amount, Decimal(0), "")


def test_days_are_asked_for_the_dearest_services_alone() -> None:
    assert dearest(map(charge, range(SERVICES_BY_DAY))) == ()
    named = dearest(map(charge, range(500)))
    assert len(named) == SERVICES_BY_DAY
    assert named[0] == f"service {500 - SERVICES_BY_DAY:03}"
    few, many = (dict(questions(MONTH, TODAY, services)) for services in ((), named))
    assert few.keys() == many.keys()
    assert many["daily"].services == named
    assert few["daily"].key != many["daily"].key


def test_our_own_forecast_counts_the_others_too() -> None:
    known = {"usage": Answer((charge(0), charge(1)), "USD", final=True, requests=1)}
    found = Spending(MONTH, TODAY, known, by_day=("service 001",))
    assert sum(one.unblended for one in _others_by_day(found)).quantize(Decimal("0.01")) == 1
