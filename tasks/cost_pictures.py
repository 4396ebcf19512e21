"""The two pictures of a cost review, as SVG: the months by service, and the change as a waterfall."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from html import escape

from tasks.cost_drivers import Comparison
from tasks.month import Month

WIDTH, HEIGHT, FOOT = 900, 320, 40
SERVICES_SHOWN = 8
DRIVERS_SHOWN = 8
# Okabe and Ito's colours, which colour-blind people can tell apart, and grey for the rest.
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#999999")
MORE, LESS, WHOLE = "#D55E00", "#009E73", "#0072B2"


def stacked(history: Mapping[Month, Mapping[str, Decimal]]) -> str:
    """A bar for each month, its most expensive services in colours, credits below left out of the height."""
    totals: dict[str, Decimal] = {}
    for services in history.values():
        for name, amount in services.items():
            totals[name] = totals.get(name, Decimal(0)) + amount
    names = sorted(totals, key=lambda name: totals[name], reverse=True)[:SERVICES_SHOWN]
    bars = {month: _parts(services, names) for month, services in history.items()}
    highest = max((sum(parts, Decimal(0)) for parts in bars.values()), default=Decimal(0)) or Decimal(1)
    step = WIDTH / max(len(bars), 1)
    shapes = []
    for number, (month, parts) in enumerate(bars.items()):
        top = float(HEIGHT)
        for part, colour in zip(parts, COLOURS, strict=False):
            height = float(part / highest) * HEIGHT
            top -= height
            shapes.append(_box(number * step + 2, top, step - 4, height, colour, f"{month}: {part:.2f}"))
        shapes.append(_text(number * step + step / 2, HEIGHT + 15, str(month)))
    legend = [
        f'<tspan fill="{colour}">■ {escape(name)}  </tspan>'
        for name, colour in zip([*names, "others"], COLOURS, strict=False)
    ]
    shapes.append(f'<text x="0" y="{HEIGHT + 34}" font-size="11">{"".join(legend)}</text>')
    return _svg("costs by month and service", shapes)


def waterfall(comparison: Comparison) -> str:
    """From the month before to this one, one step for each of the largest changes and one for all others."""
    drivers = comparison.largest(DRIVERS_SHOWN)
    levels = [comparison.total_before]
    for one in drivers:
        levels.append(levels[-1] + one.change)
    low, high = min(*levels, Decimal(0)), max(*levels, Decimal(1))
    scale = float(HEIGHT) / float(high - low)
    step = WIDTH / (len(drivers) + 2)

    def bar(number: int, begin: Decimal, end: Decimal, colour: str, name: str) -> list[str]:
        top = float(high - max(begin, end)) * scale
        height = max(float(abs(end - begin)) * scale, 1.0)
        label = f"{name}: {end - begin:+.2f}"
        x = number * step
        return [_box(x + 4, top, step - 8, height, colour, label), _text(x + step / 2, HEIGHT + 15, name[:14])]

    shapes = bar(0, Decimal(0), comparison.total_before, WHOLE, str(comparison.before))
    for number, one in enumerate(drivers, 1):
        colour = MORE if one.change > 0 else LESS
        shapes += bar(number, levels[number - 1], levels[number], colour, one.usage_type)
    shapes += bar(len(drivers) + 1, Decimal(0), comparison.total_after, WHOLE, str(comparison.after))
    return _svg(f"change from {comparison.before} to {comparison.after}", shapes)


def _parts(services: Mapping[str, Decimal], names: Sequence[str]) -> list[Decimal]:
    named = [max(services.get(name, Decimal(0)), Decimal(0)) for name in names]
    others = sum((max(amount, Decimal(0)) for name, amount in services.items() if name not in names), Decimal(0))
    return [*named, *[Decimal(0)] * (SERVICES_SHOWN - len(named)), others]


def _box(x: float, y: float, width: float, height: float, colour: str, title: str) -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"'
    return f'<rect {place} fill="{colour}"><title>{escape(title)}</title></rect>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="10" text-anchor="middle">{escape(text)}</text>'


def _svg(title: str, shapes: Sequence[str]) -> str:
    size = f'viewBox="0 0 {WIDTH} {HEIGHT + FOOT}" width="{WIDTH}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" role="img">'
    return f"{head}<title>{escape(title)}</title>{''.join(shapes)}</svg>"
