"""Which parts the lab has, in the order in which the control loop visits them."""

from lab.acm import CertificateManager
from lab.autoscaling import AutoScaling
from lab.cloudtrail import CloudTrail
from lab.cloudwatch import CloudWatch
from lab.cost_explorer import CostExplorer
from lab.ec2 import ElasticComputeCloud
from lab.ecr import ElasticContainerRegistry
from lab.elbv2 import ElasticLoadBalancing
from lab.iam import IdentityAndAccessManagement
from lab.instance_refreshes import InstanceRefreshes
from lab.lab import Lab, Part
from lab.logs import Logs
from lab.rds import RDS
from lab.s3 import SimpleStorageService
from lab.secretsmanager import SecretsManager
from lab.ssm import SystemsManager


def build_parts(lab: Lab) -> list[Part]:
    return [
        CertificateManager(lab),
        ElasticContainerRegistry(lab),
        ElasticComputeCloud(lab),
        SystemsManager(lab),
        ElasticLoadBalancing(lab),
        InstanceRefreshes(lab),
        AutoScaling(lab),
        RDS(lab),
        SecretsManager(lab),
        CloudWatch(lab),
        Logs(lab),
        IdentityAndAccessManagement(lab),
        SimpleStorageService(lab),
        CloudTrail(lab),
        CostExplorer(lab),
    ]
