"""What the records around a snapshot say of an export: only what did not move can be compared."""

from tasks.exported_rows import settled_rows
from tests.records import record


def test_a_table_that_moved_around_the_snapshot_is_not_compared_even_with_as_many_rows() -> None:
    before = record(items=(3, 77), orders=(2, 5), gone=(1, 1))
    after = record(items=(3, 77), orders=(2, 6), new=(1, 1))
    assert settled_rows(before, after) == {"public.items": 3}


def test_a_partition_is_exported_with_its_table() -> None:
    both = record(items=(3, 77), measures_1=(2, 5))
    assert settled_rows(both, both) == {"public.items": 3}
