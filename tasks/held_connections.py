"""Connections to a database that a drill takes, and does nothing with: what an application that leaks them does."""

from contextlib import ExitStack

from tasks.kinds import action
from tasks.postgres import NoSlotLeft, open_session
from tasks.verifier_role import read_master_address

STATEMENT_SECONDS = 30
# Left for who comes to help, as RDS keeps two for its master user (rds.rds_superuser_reserved_connections).
SPARE = 2
_held: dict[str, list[ExitStack]] = {}


@action
def hold_connections(environment: str, name: str) -> int:
    """Take all but the last few, under this name; they end with this process, however it ends. How many it holds."""
    address, held = read_master_address(environment), _held.setdefault(name, [])
    while True:
        one = ExitStack()
        try:
            one.enter_context(open_session(address, STATEMENT_SECONDS, application_name=name))
        except NoSlotLeft:
            break
        held.append(one)
    for _ in range(min(SPARE, len(held))):
        held.pop().close()
    return len(held)


@action
def let_go(name: str) -> None:
    """Give back what this process holds under this name."""
    held = _held.pop(name, [])
    while held:
        held.pop().close()
