"""What datapoints make of an alarm: the tables of AWS's documentation, and AWS's words."""

from datetime import datetime, timedelta

import pytest

from lab.alarm_evaluation import Condition, Datapoint, evaluate
from lab.alarm_rule import BadRule, parse

NOW = datetime(2026, 11, 24, 10, 5)
THRESHOLD = 2.0
VALUES = {"0": 1.0, "X": 3.0, "-": None}
STATES = {"A": "ALARM", "O": "OK", "I": "INSUFFICIENT_DATA", "=": None}
TREATMENTS = ("missing", "ignore", "breaching", "notBreaching")

# "Datapoints to Alarm and Evaluation Periods are both 3. CloudWatch retrieves the 5 most recent data points."
THREE_OF_THREE = {
    "0 - X - X": "O O O O",
    "0 - - - -": "O O O O",
    "- - - - 0": "O O O O",
    "- - - - -": "I = A O",
    "0 X X - X": "A A A A",
    "- - X - -": "A = A O",
    "- - - - X": "I = A O",
    "X - - - -": "A = A O",
}
TWO_OF_THREE = {
    "0 - X - X": "A A A A",
    "0 0 X 0 X": "A A A A",
    "0 - X - -": "O O A O",
    "- - - - 0": "O O A O",
    "- - - X -": "A = A O",
    "- - - - X": "I = A O",
}
CASES = [
    pytest.param(to_alarm, points, treatment, STATES[expected], id=f"{to_alarm} of 3: {points} {treatment}")
    for to_alarm, table in ((3, THREE_OF_THREE), (2, TWO_OF_THREE))
    for points, row in table.items()
    for treatment, expected in zip(TREATMENTS, row.split(), strict=True)
]


def recent(*values: float | None) -> list[Datapoint]:
    """Newest last, as AWS draws them; returned newest first."""
    ages = range(len(values), 0, -1)
    points = [Datapoint(NOW - timedelta(minutes=age), value) for age, value in zip(ages, values, strict=True)]
    return points[::-1]


@pytest.mark.parametrize(("to_alarm", "points", "treatment", "expected"), CASES)
def test_missing_data_is_treated_as_aws_s_tables_say(
    to_alarm: int, points: str, treatment: str, expected: str | None
) -> None:
    condition = Condition("GreaterThanThreshold", THRESHOLD, 3, to_alarm, treatment)
    assert condition.evaluation_range == 5
    verdict = evaluate(condition, recent(*(VALUES[one] for one in points.split())))
    assert (verdict and verdict.state) == expected


@pytest.mark.parametrize(
    ("comparison", "states"),
    [
        ("GreaterThanThreshold", "OK OK ALARM"),
        ("GreaterThanOrEqualToThreshold", "OK ALARM ALARM"),
        ("LessThanThreshold", "ALARM OK OK"),
        ("LessThanOrEqualToThreshold", "ALARM ALARM OK"),
    ],
)
def test_each_comparison_takes_its_own_side_of_the_threshold(comparison: str, states: str) -> None:
    found = [evaluate(Condition(comparison, 2.0, 1), recent(None, None, value)) for value in (1.0, 2.0, 3.0)]
    assert [one and one.state for one in found] == states.split()


@pytest.mark.parametrize(
    ("condition", "values", "words"),
    [
        (
            Condition("GreaterThanThreshold", 2.0, 5, 1),
            [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 3.0],
            "Threshold Crossed: 1 out of the last 5 datapoints [3.0 (24/11/26 10:04:00)] was greater than the "
            "threshold (2.0) (minimum 1 datapoint for OK -> ALARM transition).",
        ),
        (
            Condition("GreaterThanOrEqualToThreshold", 80.0, 3, 3),
            [None, None, 38.5, 38.0, 37.5],
            "Threshold Crossed: 3 out of the last 3 datapoints [37.5 (24/11/26 10:04:00), 38.0 (24/11/26 10:03:00), "
            "38.5 (24/11/26 10:02:00)] were not greater than or equal to the threshold (80.0) "
            "(minimum 1 datapoint for ALARM -> OK transition).",
        ),
        (
            Condition("GreaterThanThreshold", 0.0, 2),
            [0.0, 0.0, 1.0, 2.0],
            "Threshold Crossed: 2 datapoints [2.0 (24/11/26 10:04:00), 1.0 (24/11/26 10:03:00)] were greater than the "
            "threshold (0.0).",
        ),
        (
            Condition("LessThanThreshold", 1.0, 3, None, "breaching"),
            [None, None, None, None, 1.0],
            "Threshold Crossed: 1 datapoint [1.0 (24/11/26 10:04:00)] was not less than the threshold (1.0) "
            "and 2 missing datapoints were treated as [Breaching].",
        ),
        (
            Condition("GreaterThanThreshold", 0.0, 1, None, "notBreaching"),
            [None, None, None],
            "Threshold Crossed: no datapoints were received for 1 period "
            "and 1 missing datapoint was treated as [NonBreaching].",
        ),
        (
            Condition("LessThanThreshold", 1.0, 2, None, "breaching"),
            [None, None, None, None],
            "Threshold Crossed: no datapoints were received for 2 periods "
            "and 2 missing datapoints were treated as [Breaching].",
        ),
        (
            Condition("GreaterThanThreshold", 2.0, 3, 2, "breaching"),
            [None, None, None, None, 1.0],
            "Threshold Crossed: 1 datapoint was received for 3 periods "
            "and 2 missing datapoints were treated as [Breaching].",
        ),
        (Condition("GreaterThanThreshold", 0.0, 5), [None] * 7, "Insufficient Data: 5 datapoints were unknown."),
        (Condition("GreaterThanThreshold", 0.0, 1), [None] * 3, "Insufficient Data: 1 datapoint was unknown."),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_the_reason_is_in_aws_s_words(condition: Condition, values: list[float | None], words: str) -> None:
    verdict = evaluate(condition, recent(*values))
    assert verdict
    assert verdict.reason == words


KNOWN = {"red": "ALARM", "green": "OK", "new": "INSUFFICIENT_DATA", "with space": "ALARM", "arn:aws:x:red": "ALARM"}


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        ("ALARM(red)", True),
        ('ALARM("with space")', True),
        ("ALARM(arn:aws:x:red)", True),
        ("OK(red)", False),
        ("OK(green) AND INSUFFICIENT_DATA( new )", True),
        ("ALARM(green) OR ALARM(red)", True),
        ("NOT ALARM(red)", False),
        ("NOT (ALARM(green) OR ALARM(new))", True),
        ("ALARM(red) AND NOT OK(green)", False),
        ("(ALARM(red) OR ALARM(green)) AND ALARM(green)", False),
        ("ALARM(red) OR ALARM(green) AND ALARM(green)", True),
        ("TRUE", True),
        ("FALSE OR\n ALARM(red)", True),
    ],
)
def test_a_rule_is_true_or_false_by_the_states_of_its_alarms(rule: str, holds: bool) -> None:
    assert parse(rule).holds(KNOWN.__getitem__) is holds


@pytest.mark.parametrize(
    "rule",
    ["", "ALARM", "ALARM()", "ALARM(a) ALARM(b)", "ALARM(a) AND", "(ALARM(a)", "NOT", "AND", "alarm(a)", "TRUE)"],
)
def test_what_is_no_rule_is_refused(rule: str) -> None:
    with pytest.raises(BadRule):
        parse(rule)
