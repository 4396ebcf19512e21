"""Amazon S3: one object, if it is there, or all below a prefix."""

from collections.abc import Iterator

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


def read_below(bucket: str, prefix: str, newest: int = 0) -> Iterator[bytes]:
    """The content of each object whose key begins so, oldest first; only of the newest ones, when a number is given."""
    client = aws.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = sorted((one for page in pages for one in page.get("Contents", [])), key=lambda one: one["LastModified"])
    for one in found[-newest:]:
        yield bytes(client.get_object(Bucket=bucket, Key=one["Key"])["Body"].read())
