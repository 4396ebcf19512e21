"""A production environment whose application serves from a database that RDS backs up: what a recovery recovers."""

from datetime import UTC, datetime
from typing import Any

import httpx

from tasks import state_backend
from tasks.environment import PROJECT
from tests.backed_up import DB, BackedUp
from tests.stack import NAME, SERVING_SECONDS

DAMAGE = "delete from items where id in (select id from items order by id limit 100)"


class Recoverable(BackedUp):
    url: str = ""

    def build(self) -> None:
        super().build()
        state_backend.ensure_lock_table.fn()
        target_group, balancer, self.url = self._build_load_balancer()
        self.client("autoscaling").update_auto_scaling_group(
            AutoScalingGroupName=f"{NAME}-asg", MinSize=1, DesiredCapacity=1
        )
        self.client("ssm").delete_parameter(Name=f"/{PROJECT}/dev/ssl_certificate_arn")  # it is served without
        outputs = {"alb_url": self.url, "alb_arn": balancer, "target_group_arn": target_group}
        for name, value in outputs.items():
            self.client("ssm").put_parameter(Name=f"/{PROJECT}/dev/{name}", Value=value, Type="String", Overwrite=True)
        self.ask("select pg_sleep(2)")  # RDS restores whole seconds: every point from now on has all of this

    def _build_load_balancer(self) -> tuple[str, str, str]:
        elbv2, ec2 = self.client("elbv2"), self.client("ec2")
        vpc = ec2.describe_subnets(SubnetIds=list(self.production.subnets))["Subnets"][0]["VpcId"]
        balancer = elbv2.create_load_balancer(Name=f"{NAME}-alb", Subnets=list(self.production.subnets))
        (made,) = balancer["LoadBalancers"]
        target_group = elbv2.create_target_group(
            Name=f"{NAME}-tg", Protocol="HTTP", Port=5000, VpcId=vpc, HealthCheckPath="/health", HealthyThresholdCount=2
        )["TargetGroups"][0]["TargetGroupArn"]
        elbv2.create_listener(
            LoadBalancerArn=made["LoadBalancerArn"],
            Protocol="HTTP",
            Port=80,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": target_group}],
        )
        self.client("autoscaling").attach_load_balancer_target_groups(
            AutoScalingGroupName=f"{NAME}-asg", TargetGroupARNs=[target_group]
        )
        return target_group, made["LoadBalancerArn"], f"http://{made['DNSName']}"

    def damage(self) -> datetime:
        """Somebody deletes a hundred rows; the moment just before it."""
        ((moment,),) = self.ask("select clock_timestamp()")
        self.write(DAMAGE)
        found: datetime = moment
        return found.astimezone(UTC)

    def ask(self, statement: str, db: str = DB) -> list[tuple[Any, ...]]:
        with self.session(db) as database, database.cursor() as sql:
            sql.execute(statement)
            return sql.fetchall()

    def items(self) -> int:
        ((count,),) = self.ask("select count(*) from items")
        return int(count)

    def instances(self) -> dict[str, dict[str, Any]]:
        """Every DB instance by its DbiResourceId."""
        found = self.client("rds").describe_db_instances()["DBInstances"]
        return {one["DbiResourceId"]: one for one in found}

    def writes_as_a_user(self) -> bool:
        """Whether a user's item is taken, through the load balancer; it is deleted again."""
        made = httpx.post(f"{self.url}/items", json={"name": "a user's", "price": 1}, timeout=SERVING_SECONDS)
        if made.status_code != 201:
            return False
        return httpx.delete(f"{self.url}{made.headers['Location']}", timeout=SERVING_SECONDS).status_code == 204
