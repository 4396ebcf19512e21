"""Drills of Terraform's state: it can't be read, or is not there. What it tells of runs on."""

from dataclasses import replace

from tasks import application, damaged_state, state_versions, terraform
from tasks.drill import Abort, BlastRadius, Recovery, Scenario, Situation, Step, Target
from tasks.environment import Environment
from tasks.state_versions import StateVersion
from tasks.terraform_lock import StateAddress

NOBODY = "nothing: the environment runs on; nobody can deploy its infrastructure until the state is back"


def _state_of(environment: Environment) -> BlastRadius:
    state = _address(environment)
    return BlastRadius((Target("Terraform state", f"s3://{state.bucket}/{state.key}"),), NOBODY, 0.0)


def _address(environment: Environment) -> StateAddress:
    return terraform.state_address(environment.environment)


def _current(situation: Situation) -> StateVersion:
    versions = state_versions.list_versions.fn(_address(situation.environment))
    return next(one for one in versions if one.is_current)


def _is_sound(situation: Situation) -> list[str]:
    """It can be read, records something, and what it tells of serves."""
    where, current = situation.environment, _current(situation)
    reasons = application.find_faults(where)
    if not current.is_readable or not current.resources:
        reasons.append(f"{situation.targets[0]} is {current}, expected one that can be read and records something")
    return reasons


def _is_unreadable(situation: Situation) -> list[str]:
    current = _current(situation)
    return [f"{situation.targets[0]} is {current}, expected that it can't be read"] if current.is_readable else []


def _remembered(situation: Situation) -> StateVersion:
    """What was good, remembered once, before it is damaged."""
    if "version" not in situation.memory:
        good = _current(situation)
        situation.remember("digest", good.digest)
        situation.remember("addresses", sorted(good.addresses))
        situation.remember("version", good.id)
    versions = state_versions.list_versions(_address(situation.environment))
    return next(one for one in versions if one.id == situation.memory["version"])


def _corrupt(situation: Situation) -> None:
    damaged_state.corrupt_state(_address(situation.environment), _remembered(situation))


def _delete(situation: Situation) -> None:
    damaged_state.delete_state(_address(situation.environment), _remembered(situation))


def _mend(situation: Situation) -> None:
    if version := situation.memory.get("version"):
        damaged_state.mend_state(_address(situation.environment), version)


def _is_what_it_was(situation: Situation) -> list[str]:
    reasons, current = _is_sound(situation), _current(situation)
    if not reasons and current.digest != situation.memory["digest"]:
        reasons.append(f"{situation.targets[0]} is {current}, expected what {situation.memory['version']} recorded")
    return reasons


CORRUPT_STATE = Scenario(
    name="corrupt-state",
    question="Terraform's state was cut off in the middle: is it brought back as it was?",
    resolve=_state_of,
    steady=_is_sound,
    method=(Step("cut the state off", _corrupt, _mend),),
    is_broken=_is_unreadable,
    recovery=Recovery("rollback-infrastructure", lambda it: {"restore_state_version": it.memory["version"]}),
    is_recovered=_is_what_it_was,
    rto_seconds=900,
    abort=Abort(after_seconds=900),
)

LOST_STATE = replace(
    CORRUPT_STATE,
    name="lost-state",
    question="Terraform's state was deleted: does its bucket have it still, and does it come back with its lineage?",
    method=(Step("delete the state", _delete, _mend),),
)

SCENARIOS = (CORRUPT_STATE, LOST_STATE)
