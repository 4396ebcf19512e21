"""The database's secret in Secrets Manager, reached through the standard AWS_* variables."""

from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from app.address import Address, AddressUnknown, address_in

if TYPE_CHECKING:
    from types_boto3_secretsmanager import SecretsManagerClient

PATIENCE = Config(connect_timeout=2, read_timeout=3, retries={"total_max_attempts": 2, "mode": "standard"})


class SecretSource:
    """Reads the secret again at each call."""

    def __init__(self, arn: str) -> None:
        self._arn = arn
        self._client: SecretsManagerClient | None = None

    def read(self) -> Address:
        try:
            if self._client is None:
                self._client = boto3.client("secretsmanager", config=PATIENCE)
            answer = self._client.get_secret_value(SecretId=self._arn)
        except (BotoCoreError, ClientError) as error:
            raise AddressUnknown(f"secret {self._arn} can't be read") from error
        return address_in(answer.get("SecretString", ""), self._arn)
