"""Which instance a scale-in takes."""

from lab.termination_policy import Candidate, choose

GROUP = [
    Candidate("i-1", "a", launched_at=1, template_version=1),
    Candidate("i-2", "b", launched_at=2, template_version=1),
    Candidate("i-3", "a", launched_at=3, template_version=2),
    Candidate("i-4", "b", launched_at=4, template_version=2),
    Candidate("i-5", "a", launched_at=5, template_version=2),
]


def test_the_zone_with_most_instances_comes_first():
    crowded = [Candidate(f"i-{n}", "a", n, 2) for n in range(3)] + [Candidate("i-old", "b", 0, 1)]
    assert choose(crowded, 2) == ["i-0", "i-1"]


def test_then_the_oldest_template_then_the_oldest_instance():
    assert choose(GROUP, 4) == ["i-1", "i-2", "i-3", "i-4"]


def test_a_policy_of_its_own_comes_after_the_zones():
    assert choose(GROUP, 1, ["NewestInstance"]) == ["i-5"]
    assert choose(GROUP, 2, ["OldestInstance", "Default"]) == ["i-1", "i-2"]


def test_protected_instances_never_go():
    protected = [Candidate(one.instance_id, "a", 0, 1, protected=True) for one in GROUP]
    assert choose(protected, 3) == []
    assert choose([*protected, Candidate("i-9", "b", 9, 9)], 3) == ["i-9"]
