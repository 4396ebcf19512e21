"""What a restored database means, asked by Great Expectations. Its Data Docs are the evidence and hold no value."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import escape
from os.path import relpath
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from tasks.expectation_suite import Table, expectations_of, read_tables
from tasks.postgres import STATEMENT_SECONDS, Address, open_session
from tasks.verdict import Verdict

LAYER = "L4 meaning"
# Great Expectations would add some of the values that it does not like.
RESULT_FORMAT = {"result_format": "SUMMARY", "partial_unexpected_count": 0}
COUNTS = frozenset({"element_count", "unexpected_count", "unexpected_percent", "missing_count", "missing_percent"})
# Of these, what was observed is a count or the name of a type; of all others it could be a value.
OBSERVING = frozenset(
    {"expect_table_row_count_to_be_between", "expect_column_values_to_be_of_type", "unexpected_rows_expectation"}
)
# An index must not answer for its table: it may be what is broken.
SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": STATEMENT_SECONDS * 1000,
    "jit": "off",
    "enable_indexscan": "off",
    "enable_indexonlyscan": "off",
    "enable_bitmapscan": "off",
}
PLAIN = re.compile("[a-z_][a-z0-9_]*")
HIDDEN = "It could not be evaluated. The reason may quote rows and is not kept."
# What a page would load from elsewhere, what needs that to work, and the maker's newsletter.
FOREIGN = re.compile(
    r"<(script|footer)\b.*?</\1\s*>|<link\b[^>]*>|<img\b[^>]*>|url\(['\"]?https?:[^)]*\)", re.DOTALL | re.IGNORECASE
)
STYLE = """<style>
body { font-family: sans-serif; margin: 2em auto; max-width: 70em } table { border-collapse: collapse }
td, th { border: 1px solid #bbb; padding: .3em .6em; text-align: left; vertical-align: top }
.fa-check-circle::before { content: "\\2713" } .fa-times::before { content: "\\2717" }
</style></head>"""
INDEX = (
    "<!DOCTYPE html><html><head><meta charset='UTF-8'><title>{title}</title>{style}<body><h1>{title}</h1>{rows}</body>"
)


@dataclass(frozen=True)
class Meaning:
    """`docs` is the page to open first."""

    verdict: Verdict
    docs: Path


def judge_meaning(
    address: Address, point: datetime, row_counts: Mapping[str, tuple[int, int]], folder: Path
) -> Meaning:
    """L4: every row is what its table and the application promise, and there are as many as there should be.

    Args:
        point: the latest moment that the restored copy can be of.
        row_counts: for each 'schema.table' the fewest and the most rows; see `bound_row_counts`.
        folder: where the Data Docs are built. It must be empty or absent.
    """
    with open_session(address) as database:
        tables = {_slug(number, table): table for number, table in enumerate(read_tables(database), 1)}
    present = {str(table) for table in tables.values()}
    reasons = [
        f"table {name} is missing, expected it with {fewest} to {most} rows"
        for name, (fewest, most) in row_counts.items()
        if name not in present
    ]
    suites = {slug: expectations_of(table, row_counts.get(str(table)), point) for slug, table in tables.items()}
    results = _evaluate(address, tables, suites, folder)
    reasons += [reason for slug, found in results.items() for reason in _reasons(tables[slug], found)]
    asked = sum(len(found) for found in results.values())
    facts = (f"{asked} expectations of {len(tables)} tables", f"{len(row_counts)} row counts as in the baseline")
    _make_self_contained(folder)
    return Meaning(Verdict(LAYER, tuple(reasons), facts), _write_index(folder, tables, results))


def bound_row_counts(
    before: Mapping[str, int], after: Mapping[str, int] | None = None, slack: float = 0.0
) -> dict[str, tuple[int, int]]:
    """What a copy may have: between two counts that were taken around its moment, or about as many as in one."""
    counts = {name: sorted((count, (after or before).get(name, count))) for name, count in before.items()}
    return {name: (int(low * (1 - slack)), int(high * (1 + slack))) for name, (low, high) in counts.items()}


def _evaluate(
    address: Address, tables: Mapping[str, Table], suites: Mapping[str, Sequence[Any]], folder: Path
) -> dict[str, list[Any]]:
    """The results by suite, and the Data Docs of the same."""
    import great_expectations as gx  # noqa: PLC0415 - seconds, and only this layer needs it
    from great_expectations.data_context.types.base import ProgressBarsConfig  # noqa: PLC0415

    context: Any = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    context.add_data_docs_site(site_name="docs", site_config=_site(folder))
    with _source(context, address) as source:
        definitions = [
            context.validation_definitions.add(
                gx.ValidationDefinition(
                    name=slug,
                    data=_asset(source, slug, tables[slug]),
                    suite=context.suites.add(gx.ExpectationSuite(slug, expectations=list(expectations))),
                )
            )
            for slug, expectations in suites.items()
            if expectations
        ]
        for definition in definitions:
            definition.run(result_format=RESULT_FORMAT)
    results = _redacted(context.validation_results_store)
    context.build_data_docs()
    return results


@contextmanager
def _source(context: Any, address: Address) -> Iterator[Any]:
    """Great Expectations' own session: it reads only, and ends with the last question."""
    source = context.data_sources.add_postgres("restored", connection_string=_url(address))
    try:
        yield source
    finally:
        source.get_execution_engine().close()
        source.get_engine().dispose()


def _asset(source: Any, slug: str, table: Table) -> Any:
    """Great Expectations would write a schema in small letters, so that an odd name needs a query of ours."""
    if PLAIN.fullmatch(table.schema) and PLAIN.fullmatch(table.bare_name):
        asset = source.add_table_asset(slug, table_name=table.bare_name, schema_name=table.schema)
    else:
        asset = source.add_query_asset(slug, query=f"select * from {table.name}")  # noqa: S608 - quoted by PostgreSQL
    return asset.add_batch_definition_whole_table("all rows")


def _url(address: Address) -> str:
    """Everything quoted: a space or a dollar sign in a password means something to Great Expectations."""
    user, password, database = (
        quote(part, safe="") for part in (address.user, address.password.get_secret_value(), address.database)
    )
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    query = urlencode({"application_name": "runbook", "options": options}, quote_via=quote)
    return f"postgresql+psycopg2://{user}:{password}@{address.host}:{address.port}/{database}?{query}"


def _redacted(store: Any) -> dict[str, list[Any]]:
    """Keep of each result whether it holds and how often not; the Data Docs are made of what is kept."""
    kept = {}
    for key in store.list_keys():
        found = store.get(key)
        for result in found.results:
            observed = {"observed_value"} if result.expectation_config.type in OBSERVING else set()
            result.result = {name: result.result[name] for name in result.result if name in COUNTS | observed}
            raised = "raised_exception" not in result.exception_info or result.exception_info["raised_exception"]
            message = HIDDEN if raised else None
            result.exception_info = {
                "raised_exception": raised,
                "exception_message": message,
                "exception_traceback": message,
            }
        store.set(key, found)
        kept[found.suite_name] = list(found.results)
    return kept


def _reasons(table: Table, results: Sequence[Any]) -> Iterator[str]:
    for result in results:
        if result.success:
            continue
        expected, seen = result.expectation_config.description, result.result
        if result.exception_info["raised_exception"]:
            why = "it could not be asked"
        elif "unexpected_count" in seen:
            why = f"{seen['unexpected_count']} of {seen['element_count']} rows are not so"
        else:
            why = f"{seen.get('observed_value')} was seen"
        yield f"table {table}: {why}, expected that {expected}"


def _slug(number: int, table: Table) -> str:
    return f"{number}-{re.sub('[^A-Za-z0-9]+', '-', str(table))}"


def _site(folder: Path) -> dict[str, Any]:
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(folder.absolute())}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    return {"class_name": "SiteBuilder", "site_index_builder": index, "store_backend": store}


def _make_self_contained(folder: Path) -> None:
    """Pages that load nothing from anywhere, not even what Great Expectations put beside them."""
    for page in folder.rglob("*.html"):
        page.write_text(FOREIGN.sub("", page.read_text()).replace("</head>", STYLE))
    for path in sorted((folder / "static").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    (folder / "static").rmdir()


def _write_index(folder: Path, tables: Mapping[str, Table], results: Mapping[str, Sequence[Any]]) -> Path:
    """Great Expectations' own is filled by a script that it loads from elsewhere."""
    pages = {page.parts[len(folder.parts) + 1]: page for page in (folder / "validations").rglob("*.html")}
    rows = "".join(
        f"<li><a href='{relpath(pages[slug], folder)}'>{escape(str(tables[slug]))}</a>:"
        f" {sum(one.success for one in found)} of {len(found)} expectations hold</li>"
        for slug, found in results.items()
    )
    index = folder / "index.html"
    index.write_text(INDEX.format(title="What the restored rows mean", style=STYLE, rows=f"<ul>{rows}</ul>"))
    return index
