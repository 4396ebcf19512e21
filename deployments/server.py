"""What a Prefect server must have before prefect.yaml works, beside the deployments themselves; all idempotent.

The work pool has no limit of its own: the runs of a dead worker would hold its slots, and the run that finds them dead
would wait behind them. How many run at once is the worker's: `prefect worker start --pool runbook --limit 20`.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import timedelta

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ChangeFlowRunState
from prefect.events.schemas.automations import AutomationCore, EventTrigger, Posture
from prefect.events.schemas.events import ResourceSpecification
from prefect.exceptions import ObjectNotFound

from deployments import ecs
from tasks import github, notification

WORK_POOL = "runbook"
PAGE = 200  # the most that the server gives at once
OURS = "runbook"  # the tag of what we made, and may remove

# Strict locks: whoever takes one fails where it does not exist, instead of going on without it.
LIMITS = {notification.LOCK: 1}

RESUME = AutomationCore(
    name="resume-crashed-run",
    description="A run whose process died goes on as the same run, at most three times. It looks at the world first.",
    tags=[OURS],
    trigger=EventTrigger(
        expect={"prefect.flow-run.Crashed"},
        match=ResourceSpecification.model_validate(
            {"prefect.resource.id": "prefect.flow-run.*", "prefect.run-count": ["1", "2", "3"]}
        ),
        match_related=ResourceSpecification.model_validate(
            {"prefect.resource.role": "work-pool", "prefect.resource.name": WORK_POOL}
        ),
        for_each={"prefect.resource.id"},
        posture=Posture.Reactive,
        threshold=1,
        within=timedelta(0),
    ),
    actions=[
        ChangeFlowRunState(state=StateType.SCHEDULED, name="AwaitingRetry", message="its process died: it is resumed")
    ],
)
AUTOMATIONS = (RESUME,)

# Blocks of type Secret that only a person can fill, in the UI or with `prefect block create secret`.
SECRETS = {
    notification.USUAL: "nobody is told of red, late and missing runs",
    notification.PAGE: "what should wake somebody goes where everything goes",
    github.TOKEN: "a rollback's report says what to push instead of opening a pull request",
}


class OtherPool(Exception):
    """The pool is there with another type, which Prefect can't change."""


def ensure_work_pool(client: SyncPrefectClient, worker: ecs.Worker | None = None) -> None:
    """Bring the pool's type and job template to where its runs work: as ECS tasks beside `worker`, else as processes.

    Raises:
        OtherPool: it has the other type. Nothing was changed.
    """
    kind = ecs.TYPE if worker else "process"
    template = ecs.job_template(worker) if worker else {}
    try:
        found = client.read_work_pool(WORK_POOL)
    except ObjectNotFound:
        client.create_work_pool(WorkPoolCreate(name=WORK_POOL, type=kind, base_job_template=template))
        return
    if found.type != kind:
        raise OtherPool(
            f"the work pool {WORK_POOL} is of type {found.type}, expected {kind}: in this account and region"
            f" Terraform has {'a' if worker else 'no'} worker on ECS. If they are the right ones:"
            f" pause the pool, wait until nothing runs, `prefect work-pool delete {WORK_POOL}`,"
            " and `make deploy` makes it anew for the same deployments"
        )
    if worker and found.base_job_template != template:
        client.update_work_pool(WORK_POOL, WorkPoolUpdate(base_job_template=template))


def ensure_limits(client: SyncPrefectClient) -> None:
    for name, slots in LIMITS.items():
        client.upsert_global_concurrency_limit_by_name(name, slots)


def ensure_automations(client: SyncPrefectClient) -> None:
    """Bring those that prefect.yaml can't hold to what they should be, and remove those of ours that are no longer."""
    known = {one.name: one for one in client.read_automations() if OURS in one.tags}
    for wanted in AUTOMATIONS:
        if found := known.pop(wanted.name, None):
            client.update_automation(found.id, wanted)
        else:
            client.create_automation(wanted)
    for stale in known.values():
        client.delete_automation(stale.id)


def missing_secrets(client: SyncPrefectClient) -> Iterator[str]:
    for name, consequence in SECRETS.items():
        try:
            client.read_block_document_by_name(name, "secret", include_secrets=False)
        except ObjectNotFound:
            yield f"no Secret block {name}: {consequence}"


def prune_deployments(client: SyncPrefectClient, wanted: Mapping[str, AbstractSet[str]]) -> list[str]:
    """Remove this pool's deployments and schedules that are not wanted: Prefect itself would keep running them.

    Args:
        wanted: the slugs of each deployment's schedules.
    """
    removed = []
    flows = {flow.id: flow.name for flow in client.read_flows(limit=PAGE)}
    for one in client.read_deployments(limit=PAGE):
        name = f"{flows[one.flow_id]}/{one.name}"
        if one.work_pool_name != WORK_POOL:
            continue
        if name not in wanted:
            client.delete_deployment(one.id)
            removed.append(name)
            continue
        for schedule in one.schedules:
            if schedule.slug not in wanted[name]:
                client.delete_deployment_schedule(one.id, schedule.id)
                removed.append(f"{name} {schedule.slug or schedule.id}")
    return removed
