"""AWS asked for a thing that may not exist."""

from typing import Any

from botocore.exceptions import ClientError

from tasks import aws

# How each service says that there is no such thing. Anything else it says is not known to mean that.
ABSENT = frozenset(
    {
        *("DBInstanceNotFound", "DBParameterGroupNotFound", "DBSubnetGroupNotFoundFault"),
        *("LoadBalancerNotFound", "TargetGroupNotFound"),
        *("NoSuchEntity", "NotFound", "NotFoundException", "ParameterNotFound"),
        *("ResourceNotFound", "ResourceNotFoundException"),
        *("404", "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchLifecycleConfiguration"),
        *("NoSuchPublicAccessBlockConfiguration", "ServerSideEncryptionConfigurationNotFoundError"),
    }
)


def find(service: str, operation: str, region: str | None = None, **asked: Any) -> dict[str, Any]:
    """The answer; an empty one when the service says that there is no such thing."""
    try:
        answer: dict[str, Any] = getattr(aws.client(service, region), operation)(**asked)
    except ClientError as error:
        if error.response["Error"]["Code"] not in ABSENT:
            raise
        return {}
    return answer
