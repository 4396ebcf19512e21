"""Which smaller, newer or Arm size of an instance is the like of another: AWS's documented families, no prices."""

SIZES = ("nano", "micro", "small", "medium", "large", "xlarge", "2xlarge", "4xlarge", "8xlarge")
# Each is the same number of vCPUs and GiB in a newer generation, on the same processor architecture.
NEWER = {"t2": "t3", "m4": "m5", "c4": "c5", "r4": "r5", "m3": "m5", "c3": "c5", "r3": "r5"}
ARM = {"t3": "t4g", "t3a": "t4g", "m5": "m6g", "c5": "c6g", "r5": "r6g", "m6i": "m7g", "c6i": "c7g", "r6i": "r7g"}
SMALLEST = {"t": "nano", "m": "large", "c": "large", "r": "large"}
SMALLEST_DATABASE = {"t": "micro", "m": "large", "r": "large"}
GIB_OF_LARGE = {"t": 8, "m": 8, "c": 4, "r": 16}


def half(name: str) -> str | None:
    """The next smaller size: half the memory, and half the vCPUs except among the small burstable ones."""
    prefix, family, size = _split(name)
    smallest = (SMALLEST_DATABASE if prefix else SMALLEST).get(family[:1])
    if size not in SIZES or size == smallest or smallest is None or size == "nano":
        return None
    return f"{prefix}{family}.{SIZES[SIZES.index(size) - 1]}"


def newer(name: str) -> str | None:
    return _in_family(name, NEWER)


def on_arm(name: str) -> str | None:
    """The size of the same name on Graviton, which runs only what was built for arm64."""
    return None if name.endswith(".nano") and name.startswith("db.") else _in_family(name, ARM)


def memory_gib(name: str) -> float | None:
    _, family, size = _split(name)
    large = GIB_OF_LARGE.get(family[:1])
    if size not in SIZES or large is None:
        return None
    return float(large * 2.0 ** (SIZES.index(size) - SIZES.index("large")))


def _in_family(name: str, others: dict[str, str]) -> str | None:
    prefix, family, size = _split(name)
    return f"{prefix}{others[family]}.{size}" if family in others else None


def _split(name: str) -> tuple[str, str, str]:
    prefix = "db." if name.startswith("db.") else ""
    family, _, size = name.removeprefix(prefix).partition(".")
    return prefix, family, size
