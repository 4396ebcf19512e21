"""What becomes of a recommendation, without AWS."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from tasks.cost_explorer import Charge
from tasks.cost_ledger import Entry, accept, due, measure, plan_entries
from tasks.errors import PreconditionFailed
from tasks.month import Month
from tasks.recommendation import Recommendation

TODAY = date(2026, 11, 26)
SEPTEMBER, NOVEMBER = Month.read("2026-09"), Month.read("2026-11")
FOUND = Recommendation("release", "eip-1", Decimal("3.65"), "high", "low", "", "", "", ("EUN1-Idle",))


def planned(*known: Entry, found: tuple[Recommendation, ...] = (FOUND,)) -> tuple[Entry, ...]:
    return plan_entries(known, found, "dev", TODAY)


def test_found_accepted_done_and_open_again_when_it_comes_back() -> None:
    (new,) = planned()
    assert (new.state, new.expected) == ("found", "3.65")
    dearer = replace(FOUND, saving=Decimal("4.00"))
    assert planned(new, found=(dearer,))[0].expected == "4.00", "nobody promised anything yet"
    accepted = accept([new], new.id, "ann", TODAY)
    assert planned(accepted, found=(dearer,)) == (accepted,), "a promise stays as it was made"
    assert plan_entries([accepted], (), "dev", TODAY, saw_all=False) == (accepted,), "what was not seen is not gone"
    (done,) = planned(accepted, found=())
    assert (done.state, done.done_on) == ("done", "2026-11-26")
    assert planned(done, found=())[0] == done
    assert planned(done)[0].state == "accepted"
    assert planned(new, found=())[0].state == "found", "what nobody accepted is nobody's success"


def test_only_what_is_open_can_be_accepted() -> None:
    (new,) = planned()
    done = replace(accept([new], new.id, "ann", TODAY), done_on="2026-11-01")
    for wanted, words in ((done.id, "is done"), ("0123456789", "is unknown")):
        with pytest.raises(PreconditionFailed, match=words):
            accept([done], wanted, "ann", TODAY)


def test_two_of_one_usage_type_share_what_it_saved_and_each_error_is_told() -> None:
    one = Entry("1", "", "", ("EUN1-Idle",), "dev", "3.00", "2026-10-01", "2026-10-02", "ann", "2026-10-03")
    both = (one, replace(one, id="2", expected="9.00"))
    assert due(both, NOVEMBER) == {Month.read("2026-10"): both}
    assert not due(both, Month.read("2026-10")), "its own month is not whole"

    def charges(month: Month, daily: str) -> list[Charge]:
        amount = Decimal(daily) * month.days
        return [Charge(month.first, ("VPC", "EUN1-Idle"), amount, amount, Decimal(0), "Hrs")]

    measured = measure(both, (SEPTEMBER, charges(SEPTEMBER, "0.5")), (NOVEMBER, charges(NOVEMBER, "0.1")))
    assert [one.measured for one in measured] == ["3.00", "9.00"]
    assert [one.error for one in measured] == [0, 0]
    unpriced = replace(one, expected=None)
    (alone,) = measure([unpriced], (SEPTEMBER, charges(SEPTEMBER, "0.5")), (NOVEMBER, charges(NOVEMBER, "0.1")))
    assert (alone.measured, alone.error) == ("12.00", None)


def test_what_rises_instead_is_taken_off_and_a_usage_type_of_several_services_is_told_apart() -> None:
    small = Entry("1", "", "", ("EUN1-t3", "EUN1-t4g"), "dev", "6.00", "2026-10-01", "2026-10-02", "ann", "2026-10-03")
    logs = replace(small, id="2", usages=("EUN1-Storage@Logs",), expected="2.00")

    def charges(month: Month, *daily: tuple[str, str, str]) -> list[Charge]:
        amounts = [(service, usage, Decimal(each) * month.days) for service, usage, each in daily]
        return [Charge(month.first, (service, usage), x, x, Decimal(0), "") for service, usage, x in amounts]

    old = charges(SEPTEMBER, ("EC2", "EUN1-t3", "1"), ("Logs", "EUN1-Storage", "1"), ("S3", "EUN1-Storage", "5"))
    new = charges(NOVEMBER, ("EC2", "EUN1-t4g", "0.8"), ("Logs", "EUN1-Storage", "0.9"), ("S3", "EUN1-Storage", "9"))
    measured = measure([small, logs], (SEPTEMBER, old), (NOVEMBER, new))
    assert [one.measured for one in measured] == ["6.00", "3.00"]
