"""Show an environment: Terraform's outputs and the resources in its state, and what it runs.

When:     you need a name, an address or an id.
Impact:   none, it only looks. Sensitive values are named, never shown.
Rollback: nothing to undo.

Carries out P02, P87 and P88; of P69 it tells the command that restores the backups' replica.
"""

from tasks import autoscaling, backup_replica, launch_template, terraform
from tasks.command_line import run
from tasks.environment import EnvironmentName, describe_environment
from tasks.procedure import procedure
from tasks.report import phase, say


@procedure
def show_environment(environment: EnvironmentName, resources: bool = False) -> dict[str, object]:
    """Settings, outputs, instances and, if asked for, every resource in Terraform's state.

    Args:
        environment: Which environment to show.
        resources: Also list the resources in Terraform's state, which takes some seconds.
    """
    with phase("settings"):
        settings = terraform.read_settings(environment)
        for name, value in settings.items():
            say(f"{name}: {value}")
        where = describe_environment(environment)
    with phase("backup replica"):
        for line in backup_replica.tell(where, settings["db_instance_class"]):
            say(line)
    with phase("instances"):
        group = autoscaling.describe_group(where.asg_name)
        running = launch_template.describe_version(group.template_id, group.template_version)
        say(f"{group.name} runs {running.image} ({running})")
        for instance in group.instances:
            say(f"{instance.id} {instance.zone} {instance.state} {instance.health} version {instance.template_version}")
    with terraform.workspace(environment, {"image": running.image}) as workspace, phase("outputs"):
        terraform.init(workspace)
        outputs = terraform.read_terraform_outputs(workspace)
        for name, value in outputs.items():
            say(f"{name}: {value}")
        if resources:
            for address in terraform.list_resources(workspace):
                say(address)
    return outputs


if __name__ == "__main__":
    run(show_environment)
