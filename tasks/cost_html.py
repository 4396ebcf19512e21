"""The page with its pictures, kept in S3 beside the month's charges as CSV."""

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from tasks import aws, cost_csv
from tasks.cost_page import Review, headline, lines
from tasks.cost_pictures import stacked, waterfall
from tasks.environment import Environment
from tasks.kinds import action
from tasks.spending import history

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f24;max-width:1100px;margin:2em auto;padding:0 1em}
h1{font-size:1.6em;margin:0}h2{font-size:1.15em;margin:2em 0 .4em;border-bottom:2px solid #e3e6ea}
.lead{font-size:1.1em;color:#444c56}.cards{display:flex;flex-wrap:wrap;gap:.8em;margin:1.2em 0}
.card{border:1px solid #d8dde3;border-radius:8px;padding:.6em 1em;min-width:9em}.card b{display:block;font-size:1.35em}
.note{background:#fff6dd;border-left:4px solid #e69f00;padding:.4em .8em;margin:.4em 0}
table{border-collapse:collapse;margin:.5em 0;width:100%}th{background:#f4f6f8;text-align:left}
td,th{border-bottom:1px solid #e3e6ea;padding:.3em .6em;vertical-align:top}tr:hover td{background:#fafbfc}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
pre{background:#f4f6f8;padding:.6em;margin:.3em 0;font-size:11px;overflow-x:auto}
code{font-size:12px}code,td:nth-child(2){overflow-wrap:anywhere}td:has(pre){width:36%}summary{white-space:nowrap}
svg{max-width:100%;height:auto}
"""
CODE = re.compile(r"`([^`]*)`")


@action
def keep_page(where: Environment, review: Review) -> tuple[str, ...]:
    """Where to look at it."""
    prefix = f"cost/reports/{where.environment}/{review.spending.month}"
    files = {f"{prefix}/index.html": ("text/html; charset=utf-8", write(review))}
    if charges := review.spending.charges("usage"):
        text = cost_csv.write(charges, review.spending.month, review.spending.currency)
        files[f"{prefix}/focus.csv"] = ("text/csv; charset=utf-8", text)
    for key, (kind, text) in files.items():
        aws.client("s3").put_object(Bucket=where.backup_bucket, Key=key, Body=text.encode(), ContentType=kind)
    return tuple(f"s3://{where.backup_bucket}/{key}" for key in files)


def write(review: Review) -> str:
    title = f"{review.environment}: costs of {review.spending.month}"
    shown = "".join(f"<h2>{escape(name)}</h2>{picture}" for name, picture in pictures(review))
    cards = "".join(f"<div class=card>{escape(name)}<b>{escape(value)}</b></div>" for name, value in headline(review))
    body = "".join(_blocks(lines(review)))
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style>'
    )
    as_seen = f"<p class=lead>as of {review.spending.today}, in {escape(review.spending.currency)}</p>"
    return f"{head}<h1>{escape(title)}</h1>{as_seen}<div class=cards>{cards}</div>{shown}{body}"


def pictures(review: Review) -> Iterator[tuple[str, str]]:
    """Each as SVG, with its title."""
    if months := history(review.spending):
        yield "costs by month and service", stacked(months)
    seen = review.spending.comparison
    if seen and seen.drivers:
        yield f"change from {seen.before} to {seen.after}", waterfall(seen)


def _blocks(page: Iterable[str]) -> Iterator[str]:
    """Markdown's tables as HTML's, with the line before each as its heading; what is to know set apart."""
    blocks = [(is_table, list(block)) for is_table, block in groupby(page, lambda line: line.startswith("|"))]
    for number, (is_table, block) in enumerate(blocks):
        if is_table:
            yield _table(block)
            continue
        has_table = number + 1 < len(blocks)
        yield from map(_paragraph, block[:-1] if has_table else block)
        if has_table:
            yield f"<h2>{_inline(block[-1])}</h2>"


def _paragraph(line: str) -> str:
    is_note = line.startswith("**to know**")
    return f"<p{' class=note' if is_note else ''}>{_inline(line)}</p>"


def _table(block: Sequence[str]) -> str:
    head, rule, *rows = ([cell.strip() for cell in line.strip("|").split("|")] for line in block)
    kinds = [" class=number" if cell.endswith(":") else "" for cell in rule]

    def row(cells: Sequence[str], tag: str) -> str:
        told = (f"<{tag}{kind}>{_inline(cell)}</{tag}>" for cell, kind in zip(cells, kinds, strict=True))
        return f"<tr>{''.join(told)}</tr>"

    return f"<table>{row(head, 'th')}{''.join(row(cells, 'td') for cells in rows)}</table>"


def _inline(text: str) -> str:
    """Bold and code; code of several lines, as a diff is, behind one line that opens it."""
    if "<br>" in text:
        code = escape("\n".join(part.strip("`") for part in text.split("<br>")))
        return f"<details><summary>show it</summary><pre>{code}</pre></details>"
    shown = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", escape(text))
    return CODE.sub(r"<code>\1</code>", shown)
