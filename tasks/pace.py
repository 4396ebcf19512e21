"""A bound on what reading costs the source: between two steps it waits while the source suffers."""

import time
from statistics import fmean, median

from psycopg2.extensions import connection

from tasks.errors import PreconditionFailed, WaitTimedOut
from tasks.postgres import ask
from tasks.waiting import wait_until

# A statement that needs no disk and no lock: what it takes is what everybody waits.
TINY = "select count(*) from pg_catalog.pg_class where oid = 1259"
# The lag is shown to pg_monitor only; for others it is NULL, and then latency alone counts.
REPLAY_LAG = """
select coalesce(extract(epoch from max(replay_lag)), 0)::float8
  from pg_catalog.pg_stat_clear_snapshot(), pg_catalog.pg_stat_replication"""
PROBES_AT_START = 21
PROBES = 5
SLOWER = 5.0
# Below this, a slow answer is the noise of a machine that is well.
NOISE_SECONDS = 0.02
REPLAY_LAG_SECONDS = 10.0
PATIENCE_SECONDS = 600.0
SHORTEST_PAUSE_SECONDS = 0.2


class Pace:
    """One session's manners: `keep` before each step. `statements` and `paused_seconds` tell what came of it."""

    def __init__(self, session: connection, patience_seconds: float = PATIENCE_SECONDS) -> None:
        self._session = session
        self._patience_seconds = patience_seconds
        self.usual_seconds = median(self._latencies(PROBES_AT_START))
        self.statements = 0
        self.pauses = 0
        self.paused_seconds = 0.0

    def keep(self) -> None:
        """
        Raises:
            PreconditionFailed: the source does not recover.
        """
        self.statements += 1
        began = time.monotonic()
        if not self._suffering():
            return
        self.pauses += 1
        try:
            wait_until(
                f"database {self._session.info.dbname}",
                self._suffering,
                lambda suffers: not suffers,
                timeout_seconds=self._patience_seconds,
                expected="answers as fast as at the start",
                shortest_poll_seconds=SHORTEST_PAUSE_SECONDS,
            )
        except WaitTimedOut as error:
            raise PreconditionFailed(f"reading was given up, for the source's sake: {error}") from error
        finally:
            self.paused_seconds += time.monotonic() - began

    def __str__(self) -> str:
        return (
            f"the source was read in {self.statements} steps over one connection; {self.pauses} pauses of together"
            f" {self.paused_seconds:.1f} s; a tiny statement took {self.usual_seconds * 1000:.1f} ms at the start"
        )

    def _suffering(self) -> str:
        """Of what the source suffers; nothing when it is well."""
        latency = fmean(self._latencies(PROBES))
        if latency > max(self.usual_seconds * SLOWER, NOISE_SECONDS):
            return f"slow: a tiny statement takes {latency:.3f} s, at the start it took {self.usual_seconds:.4f} s"
        ((lag,),) = ask(self._session, REPLAY_LAG)
        return f"lagging: a replica is {lag:.0f} s behind" if lag > REPLAY_LAG_SECONDS else ""

    def _latencies(self, probes: int) -> list[float]:
        taken = []
        for _ in range(probes):
            began = time.monotonic()
            ask(self._session, TINY)
            taken.append(time.monotonic() - began)
        return taken
