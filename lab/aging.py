"""Makes what exists older than it is: nothing in a lab is ever as old as what an account forgets."""

from datetime import datetime, timedelta

from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.rds.models import rds_backends

from lab.lab import ACCOUNT, REGION

AWS_TIME = "%Y-%m-%dT%H:%M:%S.%f"


def age(days: float) -> dict[str, int]:
    """Disks, snapshots, our images, load balancers and manual database snapshots were made that much earlier."""
    ec2, by = ec2_backends[ACCOUNT][REGION], timedelta(days=days)
    for volume in ec2.volumes.values():
        volume.create_time -= by
    for image in ec2.amis.values():
        if image.owner_id == ACCOUNT:
            image.creation_date -= by
    own = [one for one in ec2.snapshots.values() if one.from_ami is None]  # moto counts Amazon's images as ours
    for snapshot in own:
        snapshot.start_time -= by
    balancers = elbv2_backends[ACCOUNT][REGION].load_balancers.values()
    for balancer in balancers:
        told = str(balancer.created_time).removesuffix("Z")
        balancer.created_time = f"{datetime.fromisoformat(told) - by:{AWS_TIME}}"[:-3] + "Z"
    kept = rds_backends[ACCOUNT][REGION].database_snapshots.values()
    for database_snapshot in kept:
        database_snapshot.created -= by
    return {"volumes": len(ec2.volumes), "snapshots": len(own), "load_balancers": len(balancers)}
