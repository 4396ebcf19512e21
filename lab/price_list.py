"""The Price List API, answered from the prices that a tool page is given: the lab knows none of AWS's.

`POST /lab/prices` with `{"AmazonEC2": [{"dollars": "0.01", "unit": "Hrs", "attributes": {"usagetype": ...}}]}`.
"""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lab.extend import AWSError

PAGE_SIZE = 100
REGION = "us-east-1"  # of the few that answer, the one that all know
Product = Mapping[str, Any]


class PriceLists:
    """What each service's products cost."""

    def __init__(self) -> None:
        self._products: dict[str, list[Product]] = {}

    def tell(self, told: Mapping[str, list[Product]]) -> dict[str, int]:
        for product in (one for products in told.values() for one in products):
            float(product["dollars"]), product["unit"], product["attributes"]["usagetype"]
        self._products = dict(told)
        return {service: len(products) for service, products in told.items()}

    def forget(self) -> None:
        self._products = {}

    def find(self, service: str, usage_type: str) -> Decimal | None:
        """What one unit costs, if that was told."""
        products = self._products.get(service, ())
        found = (one["dollars"] for one in products if one["attributes"]["usagetype"] == usage_type)
        return next((Decimal(one) for one in found), None)

    def answer(self, operation: str, region: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        if region != REGION:
            raise AWSError("InvalidSignatureException", "Credential should be scoped to a valid region.")
        if operation != "GetProducts":
            raise AWSError("InvalidAction", f"The action {operation} is not offered by this lab.")
        wanted = [_test(one) for one in asked.get("Filters", ())]
        found = [
            (number, one)
            for number, one in enumerate(self._products.get(asked["ServiceCode"], ()))
            if all(one["attributes"].get(field) == value for field, value in wanted)
        ]
        begin, size = int(asked.get("NextToken") or 0), int(asked.get("MaxResults", PAGE_SIZE))
        page = [json.dumps(_product(asked["ServiceCode"], *one)) for one in found[begin : begin + size]]
        more = {"NextToken": str(begin + size)} if len(found) > begin + size else {}
        return {"FormatVersion": "aws_v1", "PriceList": page, **more}


def _test(one: Mapping[str, str]) -> tuple[str, str]:
    if one["Type"] != "TERM_MATCH":
        raise AWSError("InvalidParameterException", f"The filter type {one['Type']} is not offered by this lab.")
    return one["Field"], one["Value"]


def _product(service: str, number: int, one: Product) -> dict[str, Any]:
    sku = f"{service.upper()}{number:06}"
    rate = {"unit": one["unit"], "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": one["dollars"]}}
    attributes = one["attributes"]
    return {
        "product": {"sku": sku, "productFamily": attributes.get("productFamily"), "attributes": attributes},
        "serviceCode": service,
        "terms": {"OnDemand": {f"{sku}.T": {"sku": sku, "priceDimensions": {f"{sku}.T.R": rate}}}},
    }
