"""The pictures of a cost review hold for one service and for many, for credits, and for months without a change."""

from decimal import Decimal
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.cost_drivers import compare
from tasks.cost_explorer import Charge
from tasks.cost_pictures import stacked, waterfall
from tasks.month import Month

OCTOBER = Month.read("2026-10")
AMOUNTS = st.decimals(-100, 5_000, places=2, allow_nan=False)
SERVICES = st.dictionaries(st.text("ab&<", min_size=1, max_size=3), AMOUNTS, max_size=12)
SVG = "{http://www.w3.org/2000/svg}"


def read(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own


def inside(svg: ET.Element) -> None:
    """Every bar lies in the picture."""
    width, height = map(float, svg.attrib["viewBox"].split()[2:])
    for bar in svg.iter(f"{SVG}rect"):
        x, y, w, h = (float(bar.attrib[name]) for name in ("x", "y", "width", "height"))
        assert -0.1 <= x <= x + w <= width + 0.1, bar.attrib
        assert -0.1 <= y <= y + h <= height + 0.1, bar.attrib


@given(st.lists(SERVICES, min_size=1, max_size=13))
def test_months(told: list[dict[str, Decimal]]) -> None:
    inside(read(stacked({OCTOBER.after(number): one for number, one in enumerate(told)})))


@given(SERVICES, SERVICES)
def test_changes(old: dict[str, Decimal], new: dict[str, Decimal]) -> None:
    charges = [
        Charge(month.first, (name, name), amount, amount, Decimal(0), "")
        for month, services in ((OCTOBER.after(-1), old), (OCTOBER, new))
        for name, amount in services.items()
    ]
    inside(read(waterfall(compare(charges, OCTOBER))))


@pytest.mark.parametrize("given_back", ["0", "-30"])
def test_what_is_given_back_hangs_below_the_line(given_back: str) -> None:
    picture = read(stacked({OCTOBER: {"rds": Decimal(70), "credits": Decimal(given_back)}}))
    bars = {bar[0].text: float(bar.attrib["height"]) for bar in picture.iter(f"{SVG}rect") if len(bar)}
    assert (f"2026-10 credits: {given_back}.00" in bars) == (given_back != "0")
    assert any(text.text == ("40" if given_back != "0" else "70") for text in picture.iter(f"{SVG}text"))
