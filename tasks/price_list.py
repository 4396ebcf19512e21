"""AWS's list prices: the copy that came with this repository, replaced by the one that refresh_prices last fetched."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from tasks import aws, s3
from tasks.errors import PreconditionFailed
from tasks.kinds import action, probe

COPY = Path(__file__).parent / "prices"
KEPT = "cost/prices/{region}.json"
HOURS = Decimal(730)  # AWS's month of hours, as its calculator has it
PREFIXES = {"eu-north-1": "EUN1-"}
POSTGRES = "PostgreSQL"
BACKUP_USAGE = "RDS:ChargedBackupUsage"
# One usage type stands for different things of different services: whose it is belongs to our name of it.
LOGS_USAGE = "TimedStorage-ByteHrs|AmazonCloudWatch"
IMAGES_USAGE = "TimedStorage-ByteHrs|AmazonECR"
BILLED = {"AmazonCloudWatch": "AmazonCloudWatch", "AmazonECR": "Amazon EC2 Container Registry (ECR)"}
LINUX = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
# What recommendations need: service, and what its products must match.
WANTED: tuple[tuple[str, Mapping[str, str]], ...] = (
    ("AmazonEC2", {"productFamily": "Compute Instance", **LINUX}),
    ("AmazonEC2", {"productFamily": "Storage"}),
    ("AmazonEC2", {"productFamily": "Storage Snapshot"}),
    ("AmazonEC2", {"productFamily": "NAT Gateway"}),
    ("AmazonECR", {}),
    ("AmazonVPC", {"productFamily": "VpcEndpoint"}),
    ("AmazonVPC", {"group": "VPCPublicIPv4Address"}),
    ("AWSELB", {"productFamily": "Load Balancer-Application"}),
    ("AmazonRDS", {"productFamily": "Database Instance", "databaseEngine": POSTGRES}),
    ("AmazonRDS", {"productFamily": "Database Storage", "databaseEngine": POSTGRES}),
    ("AmazonRDS", {"productFamily": "Storage Snapshot"}),
    ("AmazonCloudWatch", {"productFamily": "Storage Snapshot"}),
)


@dataclass(frozen=True)
class Price:
    """Dollars of one `unit`, who told it, and the day of which it is."""

    dollars: str
    unit: str
    source: str
    day: str


@dataclass(frozen=True)
class PriceList:
    region: str
    prices: Mapping[str, Price]

    def usage(self, name: str) -> str:
        """A usage type of this region, as the price list and the bill call it."""
        return PREFIXES.get(self.region, "") + name

    def billed(self, *names: str) -> tuple[str, ...]:
        """Where the bill shows them: usage types, with `@` and the service where several services share one."""
        parts = [name.partition("|") for name in names]
        services = [f"@{BILLED[whose]}" if whose in BILLED else "" for _, _, whose in parts]
        return tuple(self.usage(usage) + service for (usage, _, _), service in zip(parts, services, strict=True))

    def dollars(self, name: str) -> Decimal | None:
        """None where no genuine price is known: nothing is invented."""
        found = self.prices.get(self.usage(name.removeprefix(PREFIXES.get(self.region, ""))))
        return Decimal(found.dollars) if found else None

    def monthly(self, name: str) -> Decimal | None:
        """Of something that is paid by the hour."""
        hourly = self.dollars(name)
        return None if hourly is None else hourly * HOURS

    def __str__(self) -> str:
        days = sorted(one.day for one in self.prices.values())
        return f"{len(days)} list prices of {self.region} from {days[0]} to {days[-1]}" if days else "no list prices"


def instance_usage(instance_type: str) -> str:
    return f"BoxUsage:{instance_type}"


def database_usage(instance_class: str, *, multi_az: bool) -> str:
    """One usage type stands for all engines, at different prices: the engine is part of our name of it."""
    return f"{'Multi-AZUsage' if multi_az else 'InstanceUsage'}:{instance_class}|{POSTGRES}"


def storage_usage(storage_type: str, *, multi_az: bool) -> str:
    return f"RDS:{'Multi-AZ-' if multi_az else ''}{storage_type.upper()}-Storage|{POSTGRES}"


@probe
def read_prices(bucket: str, region: str) -> PriceList:
    copy = COPY / f"{region}.json"
    told = decode(copy.read_text()) if copy.exists() else {}
    if kept := s3.find_object(bucket, KEPT.format(region=region)):
        told |= decode(kept.decode())
    return PriceList(region, told)


def decode(text: str) -> dict[str, Price]:
    """Prices name their source by its number."""
    told = json.loads(text)
    sources = told["sources"]
    return {name: Price(one["dollars"], one["unit"], **sources[one["source"]]) for name, one in told["prices"].items()}


def encode(prices: Mapping[str, Price]) -> str:
    sources = sorted({(one.day, one.source) for one in prices.values()})
    return json.dumps(
        {
            "sources": [{"day": day, "source": source} for day, source in sources],
            "prices": {
                name: {"dollars": one.dollars, "unit": one.unit, "source": sources.index((one.day, one.source))}
                for name, one in sorted(prices.items())
            },
        },
        indent=1,
    )


@probe
def get_products(region: str, today: date) -> PriceList:
    """AWS's prices of today; asking is free."""
    found = {
        name: Price(str(dollars), unit, f"AWS Price List API, {service}", today.isoformat())
        for service, wanted in WANTED
        for product in _pages(service, {"regionCode": region, **wanted})
        for name, dollars, unit in _read(service, product)
    }
    return PriceList(region, found)


def require_some(found: PriceList) -> None:
    """
    Raises:
        PreconditionFailed: AWS's answer has no price: what is known is kept.
    """
    if not found.prices:
        raise PreconditionFailed(
            f"the Price List has no product of {found.region}, expected hundreds. Nothing was changed."
            " Look whether AWS still names regions and products so"
        )


@action
def keep_prices(bucket: str, prices: PriceList) -> None:
    key, body = KEPT.format(region=prices.region), encode(prices.prices)
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json")


def _pages(service: str, wanted: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
    pages = aws.client("pricing").get_paginator("get_products").paginate(ServiceCode=service, Filters=filters)
    for page in pages:
        yield from (json.loads(one) if isinstance(one, str) else one for one in page["PriceList"])


def _read(service: str, product: Mapping[str, Any]) -> Iterator[tuple[str, Decimal, str]]:
    """The first tier of each on-demand price that is not free."""
    attributes = product["product"]["attributes"]
    name = _name(service, attributes["usagetype"], attributes.get("databaseEngine"))
    for term in product["terms"].get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            dollars = Decimal(dimension["pricePerUnit"].get("USD", "0"))
            if dollars and dimension.get("beginRange", "0") == "0":
                yield name, dollars, dimension["unit"]


def _name(service: str, usage: str, engine: str | None) -> str:
    if engine == POSTGRES:
        return f"{usage}|{POSTGRES}"
    return f"{usage}|{service}" if usage.endswith("TimedStorage-ByteHrs") else usage
