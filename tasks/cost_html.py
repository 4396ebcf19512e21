"""The page with its pictures, kept in S3 beside the month's charges as CSV."""

from collections.abc import Iterable
from html import escape
from itertools import groupby

from tasks import aws, cost_csv
from tasks.cost_page import Review, lines
from tasks.cost_pictures import stacked, waterfall
from tasks.environment import Environment
from tasks.kinds import action
from tasks.spending import history

STYLE = (
    "body{font-family:sans-serif;max-width:960px;margin:2em auto}table{border-collapse:collapse;margin:1em 0}"
    "td,th{border:1px solid #ccc;padding:.2em .5em;text-align:left;vertical-align:top}"
)


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
    months, comparison = history(review.spending), review.spending.comparison
    pictures = [stacked(months)] if months else []
    pictures += [waterfall(comparison)] if comparison and comparison.drivers else []
    body = "".join(_blocks(lines(review)))
    head = f'<!doctype html><meta charset="utf-8"><title>{escape(title)}</title><style>{STYLE}</style>'
    return f"{head}<h1>{escape(title)}</h1>{''.join(pictures)}{body}"


def _blocks(page: Iterable[str]) -> Iterable[str]:
    """Markdown's tables as HTML's, each other line as a paragraph."""
    for is_table, block in groupby(page, lambda line: line.startswith("|")):
        if not is_table:
            yield from (f"<p>{_inline(line)}</p>" for line in block)
            continue
        rows = [line[1:-1].split(" | ") for line in block if not set(line) <= set("|-:")]
        cells = ("".join(f"<td>{_inline(one.strip())}</td>" for one in row) for row in rows)
        yield f"<table>{''.join(f'<tr>{row}</tr>' for row in cells)}</table>"


def _inline(text: str) -> str:
    return escape(text.replace("**", "").replace("`", "")).replace("&lt;br&gt;", "<br>")
