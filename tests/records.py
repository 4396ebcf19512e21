"""Records of what a database held, made up of numbers instead of read."""

from datetime import UTC, datetime

from tasks.baseline import Baseline
from tasks.catalogue import Catalogue
from tasks.content_baseline import ContentBaseline, TableContent
from tasks.fingerprint import ALGORITHM, Sum
from tasks.quiet_moment import Cut

NOW = datetime(2026, 11, 25, tzinfo=UTC)


def record(**tables: tuple[int, int]) -> Baseline:
    """Each table's rows and the sum of their hashes."""
    contents = {f"public.{name}": TableContent({}, (), 10, {0: Sum(*total)}) for name, total in tables.items()}
    cut = Cut(NOW, True, NOW, NOW)
    entries = {"table public.measures_1": "logged\nFOR VALUES FROM (1) TO (2)\ninherits public.measures"}
    return Baseline(ContentBaseline(ALGORITHM, 15, "UTF8", cut, contents, 0, ()), Catalogue(entries))
