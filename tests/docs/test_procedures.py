"""Every procedure of the runbook has a flow and a test, but those that are named here: a list that must shrink."""

from docs.runbook.page import FILE, write
from docs.runbook.procedures import list_missing, read_pages, read_procedures

# Procedures that no flow carries out yet. A flow that carries one out says so in its docstring; take it off the list.
# fmt: off
MISSING = [
    "P19", "P20", "P21", "P22", "P23", "P26", "P27", "P28", "P29", "P32", "P33", "P34",
    "P35", "P36", "P37", "P38", "P39", "P40", "P41", "P42", "P43", "P46", "P47", "P50",
    "P51", "P52", "P53", "P54", "P55", "P56", "P57", "P73", "P74", "P77", "P84", "P91",
    "P92", "P95",
]
# fmt: on


def test_the_procedures_without_a_flow_are_exactly_those_that_are_listed() -> None:
    assert len(read_procedures()) == 95
    found = list_missing()
    assert not set(found) - set(MISSING), (
        "a procedure lost its flow: no docstring in flows/ says that it carries it out"
    )
    assert not set(MISSING) - set(found), "take these off the list MISSING, a flow carries them out now"


def test_no_flow_claims_a_procedure_that_the_runbook_does_not_have() -> None:
    assert {procedure for page in read_pages() for procedure in page.procedures} <= set(read_procedures())


def test_every_flow_carries_something_out_and_has_a_test() -> None:
    assert [page.flow for page in read_pages() if not page.procedures] == []
    assert [page.flow for page in read_pages() if not page.tests] == []


def test_the_page_is_the_one_that_the_flows_say() -> None:
    assert FILE.read_text() == write({}), "docs/runbook.md is stale: make docs"


def test_a_server_says_when_a_procedure_was_last_proven() -> None:
    assert "| 2026-11-02 06:41, 2460 s |" in write({"verify-backup/prod": "2026-11-02 06:41, 2460 s"})
