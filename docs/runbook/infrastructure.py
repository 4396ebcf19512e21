"""Rules for Terraform's state and the network."""

import re
from collections.abc import Iterator

from docs.runbook.rules import Runbook, Seen, rule

CIDR = re.compile(r"\d+(?:\.\d+){3}/\d+")


@rule("D16", "take the commit back; restore a state only when it is lost or corrupt, lineage and serial compared")
def an_older_record_does_not_change_the_cloud(runbook: Runbook) -> Iterator[Seen]:
    for command in runbook.calls("s3api get-object"):
        if "version-id" in command.options and "tfstate" in command.options.get("key", ""):
            yield command.line, "with an old state the next plan destroys and creates what it does not know"


@rule("D25", "different ranges, or never connect the two")
def two_environments_in_one_range(runbook: Runbook) -> Iterator[Seen]:
    for line in runbook.matching("|", "CIDR"):
        ranges = CIDR.findall(line.text)
        if len(ranges) > len(set(ranges)):
            yield line, f"{ranges[0]} twice: the two can't be connected to compare one's data with the other's"


@rule("D28", "use_lockfile, beside the table for as long as older versions of Terraform are in use")
def a_lock_that_terraform_gives_up(runbook: Runbook) -> Iterator[Seen]:
    if not any(True for _ in runbook.matching("use_lockfile")):
        yield from ((line, "dynamodb_table is deprecated") for line in runbook.matching("dynamodb_table", "="))
