"""The two pictures of a cost review, as SVG: the months by service, and the change as a waterfall."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from html import escape

from tasks.cents import dollars
from tasks.cost_drivers import Comparison
from tasks.month import Month

WIDTH, HEIGHT, AXIS, TOP = 1000, 300, 70, 16
SERVICES_SHOWN = 8
DRIVERS_SHOWN = 9
ROW, NAMES, NAME = 26, 340, 48  # the names' width in pixels and in characters
LEGEND_COLUMNS = 3
# Okabe and Ito's colours, which colour-blind people can tell apart, and grey for the rest.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999")
MORE, LESS, WHOLE = "#D55E00", "#009E73", "#0072B2"


def stacked(history: Mapping[Month, Mapping[str, Decimal]]) -> str:
    """A bar for each month, its dearest services in colours; what is given back hangs below the line."""
    names = _dearest(history)
    bars = {month: _parts(services, names) for month, services in history.items()}
    high = max((sum((x for x in parts if x > 0), Decimal(0)) for parts in bars.values()), default=Decimal(0))
    low = min((sum((x for x in parts if x < 0), Decimal(0)) for parts in bars.values()), default=Decimal(0))
    step = _round(max(high - low, Decimal(1)) / 4)
    top = (high / step).to_integral_value(ROUND_CEILING) * step
    bottom = (low / step).to_integral_value(ROUND_FLOOR) * step
    top = top if top > bottom else step  # nothing was billed in any month
    scale = HEIGHT / float(top - bottom)
    width = (WIDTH - AXIS) / max(len(bars), 1)

    def y(amount: Decimal) -> float:
        return TOP + float(top - amount) * scale

    shapes = list(_grid(bottom, top, step, y(bottom), scale))
    for number, (month, parts) in enumerate(bars.items()):
        left, up, down = AXIS + number * width, Decimal(0), Decimal(0)
        for (name, colour), part in zip(_coloured(names), parts, strict=True):
            begin, end = (up, up + part) if part > 0 else (down, down + part)
            up, down = (end, down) if part > 0 else (up, end)
            place = (left + 4, y(max(begin, end)), width - 8, abs(float(part)) * scale)
            shapes.append(_box(*place, colour, f"{month} {name}: {dollars(part)}") if part else "")
        total = sum(parts, Decimal(0))
        shapes.append(_text(left + width / 2, y(up) - 4, f"{total:,.0f}"))
        shapes.append(_text(left + width / 2, y(bottom) + 16, str(month)))
    legend = list(_legend(_coloured(names), y(bottom) + 40))
    height = y(bottom) + 40 + 18 * -(-(len(names) + 1) // LEGEND_COLUMNS)
    return _svg("costs by month and service", height, [*shapes, *legend])


def waterfall(comparison: Comparison) -> str:
    """From the month before to this one, a row for each of the largest changes and one for all others."""
    drivers = [one for one in comparison.largest(DRIVERS_SHOWN) if one.change]
    levels = [comparison.total_before]
    for one in drivers:
        levels.append(levels[-1] + one.change)
    low, high = min(*levels, Decimal(0)), max(*levels, Decimal(1))
    near = min(levels)  # where the change is small beside the whole, the whole's beginning is cut off
    low = near - (high - near) if 0 < (high - near) * 4 < near else low
    scale = (WIDTH - NAMES - 120) / float(high - low)

    def row(number: int, begin: Decimal, end: Decimal, colour: str, name: str, told: str) -> list[str]:
        left = NAMES + float(min(begin, end) - low) * scale
        length = max(float(abs(end - begin)) * scale, 1.0)
        top = TOP + number * ROW
        return [
            _text(NAMES - 8, top + 15, name if len(name) <= NAME else f"{name[: NAME - 1]}…", "end"),
            _box(left, top, length, ROW - 6, colour, f"{name}: {told}"),
            _text(left + length + 5, top + 15, told, "start"),
        ]

    first, last = str(comparison.before), str(comparison.after)
    shapes = row(0, low, comparison.total_before, WHOLE, first, dollars(comparison.total_before))
    for number, one in enumerate(drivers, 1):
        colour = MORE if one.change > 0 else LESS
        name = f"{one.service.removeprefix('Amazon ').removeprefix('AWS ')}, {one.usage_type}"
        shapes += row(number, levels[number - 1], levels[number], colour, name, f"{one.change:+,.2f}")
    shapes += row(len(drivers) + 1, low, comparison.total_after, WHOLE, last, dollars(comparison.total_after))
    if low > 0:
        shapes.append(_text(NAMES, TOP + ROW * (len(drivers) + 2) + 8, f"begins at {dollars(low)}", "start"))
    return _svg(f"change from {first} to {last}", TOP + ROW * (len(drivers) + 2) + 14, shapes)


def _dearest(history: Mapping[Month, Mapping[str, Decimal]]) -> list[str]:
    totals: dict[str, Decimal] = {}
    for services in history.values():
        for name, amount in services.items():
            totals[name] = totals.get(name, Decimal(0)) + abs(amount)
    return sorted(totals, key=lambda name: totals[name], reverse=True)[:SERVICES_SHOWN]


def _parts(services: Mapping[str, Decimal], names: Sequence[str]) -> list[Decimal]:
    others = sum((amount for name, amount in services.items() if name not in names), Decimal(0))
    return [*(services.get(name, Decimal(0)) for name in names), others]


def _round(amount: Decimal) -> Decimal:
    """The next larger of 1, 2 and 5 times a power of ten."""
    power = Decimal(10) ** amount.adjusted()
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= amount)


def _grid(bottom: Decimal, top: Decimal, step: Decimal, floor: float, scale: float) -> Iterator[str]:
    for number in range(int((top - bottom) / step) + 1):
        amount = bottom + number * step
        y = floor - float(amount - bottom) * scale
        colour = "#555" if amount == 0 else "#e3e6ea"
        yield f'<line x1="{AXIS}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="{colour}"/>'
        yield _text(AXIS - 8, y + 4, f"{amount:,.0f}" if step >= 1 else f"{amount:,.2f}", "end")


def _coloured(names: Sequence[str]) -> list[tuple[str, str]]:
    return [*zip(names, COLOURS, strict=False), ("others", COLOURS[-1])]


def _legend(names: Sequence[tuple[str, str]], top: float) -> Iterator[str]:
    width = (WIDTH - AXIS) / LEGEND_COLUMNS
    for number, (name, colour) in enumerate(names):
        x, y = AXIS + number % LEGEND_COLUMNS * width, top + number // LEGEND_COLUMNS * 18
        yield _box(x, y - 9, 10, 10, colour, name)
        yield _text(x + 15, y, name, "start")


def _box(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"><title>{escape(title)}</title></rect>'


def _text(x: float, y: float, text: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, shapes: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui,sans-serif" role="img">'
    return f"{head}<title>{escape(title)}</title>{''.join(shapes)}</svg>"
