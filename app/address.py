"""Where the database is: the secret in Secrets Manager, or DATABASE_URL on a developer's laptop."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

import psycopg2
from psycopg2.extensions import parse_dsn

from app import logs

LIBPQ_NAMES = {"host": "host", "port": "port", "dbname": "dbname", "username": "user", "password": "password"}


class AddressUnknown(Exception):
    """Nobody could say where the database is."""


@dataclass(frozen=True)
class Address:
    """Connection parameters in libpq's names; prints without the password."""

    parameters: Mapping[str, str] = field(repr=False)

    def __post_init__(self) -> None:
        logs.conceal(self.parameters.get("password", ""))

    def __str__(self) -> str:
        host, port = self.parameters.get("host", "local socket"), self.parameters.get("port", "5432")
        return f"{host}:{port}/{self.parameters.get('dbname', '')}"


class AddressSource(Protocol):
    def read(self) -> Address: ...


class UrlSource:
    """A developer's laptop: the address never changes."""

    def __init__(self, url: str) -> None:
        logs.conceal(url)
        self._url = url

    def read(self) -> Address:
        try:
            return Address(parse_dsn(self._url))
        except psycopg2.Error:
            # libpq repeats the whole string, password included, in its message.
            raise AddressUnknown("DATABASE_URL is not a PostgreSQL connection string") from None


class NowhereSource:
    """Neither variable is set: the process stays `starting` and says why."""

    def read(self) -> Address:
        raise AddressUnknown("neither DB_SECRET_ARN nor DATABASE_URL is set")


def address_source(environment: Mapping[str, str]) -> AddressSource:
    if arn := environment.get("DB_SECRET_ARN"):
        # boto3 costs a third of a second and 25 MB: a laptop with DATABASE_URL never pays for it.
        from app.secret import SecretSource  # noqa: PLC0415

        return SecretSource(arn)
    if url := environment.get("DATABASE_URL"):
        return UrlSource(url)
    return NowhereSource()


def address_in(text: str, arn: str) -> Address:
    """The address a secret's text holds."""
    try:
        secret = json.loads(text)
        parameters = {libpq: str(secret[name]) for name, libpq in LIBPQ_NAMES.items()}
    except (ValueError, KeyError, TypeError):
        raise AddressUnknown(f"secret {arn} is not JSON with {', '.join(LIBPQ_NAMES)}") from None
    return Address(parameters)
