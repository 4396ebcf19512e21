"""What the smoke suite printed, judged without an application."""

import re

import pytest

from tasks.restored_answers import Contents, Row, judge_answers, read_answers

ROWS = [Row(n, f"{n}.50", f"2026-11-2{n}T10:00:00+00:00", "2026-11-25T10:00:00+00:00") for n in (1, 2, 3, 4)]
CONTENTS = Contents(2, 4, tuple(ROWS[:3]), ROWS[-1])
GOOD = """
> waiting 000
> ready 200
"reason": null
"version": 2
"version": "1.0.0"
"instance": "i-1"
> health 200
"status": "healthy"
"database": "connected"
"version": "1.0.0"
"instance": "i-1"
> first-page 200
"id" : 1
"price" : 1.50
"id" : 2
"price" : 2.50
"next":2
> next-page 200
"id" : 2
"id" : 3
"next":3
> behind-the-last 200
"next":null
> first-item 200
"id" : 1
"price" : 1.50
"created_at" : "2026-11-21T10:00:00+00:00"
"updated_at" : "2026-11-25T10:00:00+00:00"
> last-item 200
"id" : 4
"price" : 4.50
"created_at" : "2026-11-24T10:00:00+00:00"
"updated_at" : "2026-11-25T10:00:00+00:00"
> create 201
"id" : 5
"price" : 12.50
> read-created 200
"price" : 12.50
> update 200
"price" : 7.25
> read-updated 200
"price" : 7.25
> delete 204
> read-deleted 404
"code": "not_found"
> no-such-item 404
"code": "not_found"
> bad-parameter 400
"code": "invalid_parameter"
> bad-body 400
"code": "malformed_json"
"""


def reasons(output: str, *versions: str) -> list[str]:
    return judge_answers(read_answers(output), CONTENTS, "i-1", versions or ("1.0.0", "stable"))


def test_the_answers_of_a_release_that_works_are_good() -> None:
    assert reasons(GOOD) == []


@pytest.mark.parametrize("what", re.findall(r"^> ([\w-]+) 200$", GOOD, re.MULTILINE)[1:])
def test_every_answer_counts(what: str) -> None:
    (reason,) = reasons(GOOD.replace(f"> {what} 200", f"> {what} 503"))
    assert reason.startswith(f"{what} answered 503")


def test_an_answer_that_is_missing_is_no_good_answer() -> None:
    cut = GOOD[: GOOD.index("> bad-body")]
    assert reasons(cut) == ["bad-body answered no answer, expected 400 (code 'malformed_json')"]


@pytest.mark.parametrize(
    ("good", "bad", "words"),
    [
        ('"price" : 4.50', '"price" : 4.5', "last-item answered 200"),
        ('"id" : 3', '"id" : 4', "next-page answered 200"),
        ('"next":null', '"id" : 9\n"next":null', "behind-the-last answered 200"),
        ('"id" : 5', '"id" : 4', "a new item got id 4, expected one above 4"),
        ('"status": "healthy"', '"status": "degraded"', "health answered 200"),
        ('"database": "connected"\n"version": "1.0.0"\n"instance": "i-1"', '"instance": "i-2"', "health answered 200"),
        ('"version": 2\n', '"version": 3\n', "from schema version 2 to 3"),
        ("malformed_json", "invalid_type", "bad-body answered 400"),
    ],
)
def test_a_wrong_answer_is_told_with_what_was_expected(good: str, bad: str, words: str) -> None:
    found = reasons(GOOD.replace(good, bad))
    assert words in " ".join(found)


def test_another_release_than_production_s_is_told() -> None:
    assert reasons(GOOD, "2.0.0") == ["the application on the copy is version 1.0.0, expected 2.0.0 as in production"]


def test_an_application_that_never_became_ready_is_told_in_its_last_words_only() -> None:
    waited = '> waiting 000\n> waiting 503\n"reason": "the database does not answer"\n"version": null\n'
    (reason,) = reasons(waited)
    assert "answered 503 and said: the database does not answer" in reason
    assert "answered nothing and said: nothing" in reasons("")[0]


def test_output_that_was_cut_off_is_not_taken_for_more_than_it_says() -> None:
    cut = GOOD[: GOOD.index("1T10:00:00")]
    assert any(reason.startswith("first-item answered 200 (id 1, price '1.50')") for reason in reasons(cut))
