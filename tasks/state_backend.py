"""Where Terraform keeps its state: a versioned, encrypted, private bucket and the table of locks."""

from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from tasks import aws
from tasks.change_lock import LOCK_TABLE
from tasks.kinds import action

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient
    from types_boto3_s3 import S3Client

KEPT_DAYS = 90  # how long an older version of the state can still be looked at


@action
def ensure_state_bucket(bucket: str) -> None:
    """Create what is missing and set what differs; a second run changes nothing."""
    s3: S3Client = aws.client("s3")
    if not bucket_exists(bucket):
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": aws.region()})  # type: ignore[typeddict-item]
    s3.get_waiter("bucket_exists").wait(Bucket=bucket, WaiterConfig={"Delay": 2, "MaxAttempts": 30})
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_bucket_encryption(
        Bucket=bucket,
        ServerSideEncryptionConfiguration={
            "Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"}, "BucketKeyEnabled": True}]
        },
    )
    s3.put_public_access_block(
        Bucket=bucket,
        PublicAccessBlockConfiguration=dict.fromkeys(  # type: ignore[arg-type]
            ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True
        ),
    )
    s3.put_bucket_lifecycle_configuration(
        Bucket=bucket,
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "expire-noncurrent",
                    "Status": "Enabled",
                    "Filter": {"Prefix": ""},
                    "NoncurrentVersionExpiration": {"NoncurrentDays": KEPT_DAYS},
                }
            ]
        },
    )


@action
def ensure_lock_table() -> None:
    """The runbook's table: it carries our change locks, and Terraform's own for those who use it (D28)."""
    dynamodb: DynamoDBClient = aws.client("dynamodb")
    try:
        dynamodb.create_table(
            TableName=LOCK_TABLE,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": "LockID", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "LockID", "AttributeType": "S"}],
        )
    except dynamodb.exceptions.ResourceInUseException:
        pass
    dynamodb.get_waiter("table_exists").wait(TableName=LOCK_TABLE, WaiterConfig={"Delay": 2, "MaxAttempts": 30})


def bucket_exists(bucket: str) -> bool:
    try:
        aws.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
            return False
        raise
    return True
