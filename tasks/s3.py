"""Amazon S3: one object, if it is there."""

from botocore.exceptions import ClientError

from tasks import aws


def find_object(bucket: str, key: str) -> bytes | None:
    """Its content, or None when there is none under that key."""
    try:
        answer = aws.client("s3").get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["Error"]["Code"] in ("NoSuchKey", "404"):
            return None
        raise
    return bytes(answer["Body"].read())
