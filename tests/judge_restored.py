"""L5 alone, for a process that is killed in the middle of it: called like a procedure, but without a Prefect server."""

from typing import Any

from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import SecretStr

from tasks.environment import Environment
from tasks.postgres import Address
from tasks.restored_application import judge_application


def judge_restored(
    environment: dict[str, Any], address: dict[str, Any], tags: dict[str, str], return_state: bool
) -> State[None]:
    lists = {name: tuple(value) for name, value in environment.items() if isinstance(value, list)}
    password = SecretStr(address.pop("password"))
    where = Environment(**{**environment, **lists})
    verdict = judge_application.fn(where, Address(**address, password=password), tags)
    return Completed() if verdict.is_good else Failed()
