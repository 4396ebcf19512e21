"""How many DB instances and manual snapshots an account may have in a region: AWS's defaults, or what a test says."""

from dataclasses import dataclass, field

# As RDS's DescribeAccountAttributes names them.
DEFAULTS = {"DBInstances": 40, "ManualSnapshots": 100}


@dataclass
class Quotas:
    most: dict[str, int] = field(default_factory=lambda: dict(DEFAULTS))

    def change(self, wanted: dict[str, int]) -> None:
        for name, most in wanted.items():
            if name not in DEFAULTS or not isinstance(most, int) or most < 0:
                raise ValueError(f"'{name}': {most} is no quota: expected a number for {' or '.join(DEFAULTS)}")
        self.most |= wanted

    def forget(self) -> None:
        self.most = dict(DEFAULTS)
