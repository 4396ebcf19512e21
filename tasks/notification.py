"""Telling people: by Slack, Teams, e-mail, PagerDuty or a web hook, whatever the addresses in Prefect say.

The Secret block `notification-url` holds Apprise addresses, one a line (slack://..., mailto://..., pagerduty://...).
What should wake somebody goes to those of `notification-page` instead, where it exists.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import apprise
from prefect.blocks.system import Secret
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.variables import Variable

from tasks.errors import RunbookError
from tasks.kinds import action
from tasks.on_call import Priority, Step, read_on_call

USUAL, PAGE = "notification-url", "notification-page"
TOLD = "runbook_told"  # the Variable that remembers what was told, so that it is told once
LOCK = "telling"  # the global concurrency limit without which two runs would tell the same; `make deploy` makes it
LEASE_SECONDS = 60  # the least; of a run that was killed while it told
LONGEST = 3500  # characters; Slack cuts a message at 4,000
# It would log an address that it can't reach, with the token in it.
logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)


class NotTold(RunbookError):
    """Nobody was told, and somebody should have been."""


@dataclass(frozen=True)
class Notice:
    """The same trouble has the same key, however often it is seen."""

    key: str
    priority: Priority
    title: str
    text: str


@action
def tell(notices: Sequence[Notice]) -> tuple[str, ...]:
    """Tell people of each trouble once, and forget those that are over, so that they are told when they come back.

    A run that is killed between the sending and the remembering tells twice: better than not at all. Two runs at once
    take turns, by a lock that must exist.

    Returns:
        What was done, a line for each notice.

    Raises:
        NotTold: there is no address, or one did not take it, or there is no lock.
    """
    try:
        with concurrency(LOCK, strict=True, lease_duration=LEASE_SECONDS):
            return _tell(notices)
    except ConcurrencySlotAcquisitionError as error:
        raise NotTold(
            f"nobody was told: Prefect has no global concurrency limit {LOCK}, expected one: make deploy"
        ) from error


def _tell(notices: Sequence[Notice]) -> tuple[str, ...]:
    told, lines, failures = _remembered(), [], []
    for notice in notices:
        if notice.key in told:
            lines.append(f"{notice.priority} {notice.title}: told already, {told[notice.key]}")
            continue
        try:
            lines.append(f"{notice.priority} {notice.title}: {send(notice, datetime.now(UTC))}")
        except NotTold as failure:  # the next one may go to another address
            failures.append(str(failure))
            continue
        told[notice.key] = datetime.now(UTC).isoformat(timespec="seconds")
        _remember(told)
    _remember({key: when for key, when in told.items() if key in {notice.key for notice in notices}})
    if failures:
        raise NotTold("; ".join(dict.fromkeys(failures)))
    return tuple(lines)


def send(notice: Notice, now: datetime) -> str:
    """Where it went.

    Raises:
        NotTold: there is no address, or one did not take it.
    """
    first = read_on_call().plan_escalation(notice.priority, now)
    wakes = any(step.by != "message" for step in first)
    block = PAGE if wakes and _addresses(PAGE) else USUAL
    addresses = _addresses(block)
    if not addresses:
        raise NotTold(
            f"nobody was told of {notice.title}: Prefect has no Secret block {USUAL}, expected one with Apprise"
            f" addresses. Save it in the UI (Blocks), or: prefect block create secret"
        )
    now_told = "; ".join(str(step) for step in first if not step.after)
    _deliver(block, addresses, f"[{notice.priority}] {notice.title}", f"{notice.text[:LONGEST]}\n\n{now_told}")
    return f"told through {block}: {now_told}"


def reach(step: Step, title: str, text: str) -> str:
    """Tell the one person of a step of an escalation, through the pager unless a message is enough; where it went.

    Raises:
        NotTold: there is no address, or one did not take it.
    """
    block = PAGE if step.by != "message" and _addresses(PAGE) else USUAL
    addresses = _addresses(block)
    if not addresses:
        raise NotTold(f"{step} was not told of {title}: Prefect has no Secret block {USUAL}, expected one")
    _deliver(block, addresses, title, f"{text[:LONGEST]}\n\n{step}")
    return f"{step}, through {block}"


@action
def notify(title: str, text: str) -> bool:
    """Something to read when there is time. Whether it was sent; False where there is no address.

    Raises:
        NotTold: an address did not take it.
    """
    addresses = _addresses(USUAL)
    if addresses:
        _deliver(USUAL, addresses, title, text[:LONGEST])
    return bool(addresses)


def require_told(title: str, text: str) -> None:
    """As `notify`, where nobody told is trouble.

    Raises:
        NotTold: there is no address, or one did not take it.
    """
    if not notify(title, text):
        raise NotTold(f"nobody was told: {title}. Prefect has no Secret block {USUAL}, expected one")


def _deliver(block: str, addresses: Sequence[str], title: str, body: str) -> None:
    channel = apprise.Apprise()
    if not all(channel.add(address) for address in addresses):
        raise NotTold(
            f"an address in the Secret block {block} is none that Apprise knows, expected such as slack://..."
        )
    if not channel.notify(title=title, body=body):
        raise NotTold(f"not every address in the Secret block {block} took the notice {title}: is it reachable?")


def _addresses(block: str) -> list[str]:
    try:
        found = Secret.load(block)
    except ValueError:  # Prefect's word for a block that does not exist
        return []
    return str(found.value.get_secret_value()).split()  # type: ignore[union-attr]


def _remembered() -> dict[str, str]:
    known: Any = Variable.get(TOLD)
    return dict(known) if isinstance(known, dict) else {}


def _remember(told: dict[str, str]) -> None:
    Variable.set(TOLD, dict(told), overwrite=True)
