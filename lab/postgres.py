"""One real PostgreSQL cluster as a child process: created, started, stopped, and gone with its parent."""

import datetime
import ipaddress
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg2
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from psycopg2 import sql

from lab.postgres_binaries import Binaries, find_binaries, give_away, run_as
from lab.processes import freeze, spawn, stop

SUPERUSER = "rdsadmin"
PORT = 5432
OTHER_PORT = 15432
START_SECONDS = 60.0
CERTIFICATE_DAYS = 365
# What a cluster of the lab starts from; a parameter group's values go over it.
FIXED: dict[str, str] = {
    "unix_socket_directories": "",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "fsync": "off",  # a crash of this machine ends the lab anyway; a crash of PostgreSQL loses nothing by it
    "wal_level": "replica",
    "max_wal_senders": "10",
    "wal_keep_size": "16",  # what is between a base backup's end and its moment is still there to be copied
    "max_wal_size": "256",
    "min_wal_size": "8",
    "shared_buffers": "32MB",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "logging_collector": "on",
    "log_filename": "postgresql.log.%Y-%m-%d-%H",
    "log_rotation_age": "60",
    "log_line_prefix": "%t:%r:%u@%d:[%p]:",
    "cluster_name": "lab",
}


class ClusterFailedError(RuntimeError):
    """PostgreSQL did not start; the message is what its log says."""


@dataclass
class Cluster:
    """A data directory below `root`, and the server process that may run on it."""

    root: Path
    host: str = "127.0.0.1"
    port: int = PORT
    password: str = field(default_factory=lambda: secrets.token_urlsafe(18), repr=False)
    binaries: Binaries = field(default_factory=find_binaries)
    process: "subprocess.Popen[bytes] | None" = None
    frozen: bool = False

    @classmethod
    @contextmanager
    def temporary(cls, **settings: str) -> Iterator["Cluster"]:
        """A running cluster of one's own: `with Cluster.temporary() as pg: psycopg2.connect(pg.dsn())`."""
        with tempfile.TemporaryDirectory(prefix="lab-postgres-") as folder:
            Path(folder).chmod(0o755)
            cluster = cls(Path(folder) / "cluster", port=free_port("127.0.0.1"))
            cluster.create()
            cluster.configure(settings)
            try:
                cluster.start()
                yield cluster
            finally:
                cluster.stop(signal.SIGQUIT)

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def archive(self) -> Path:
        return self.root / "archive"

    @property
    def logs(self) -> Path:
        return self.root / "log" / "error"

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def dsn(self, database: str = "postgres") -> str:
        """The superuser's connection string."""
        return (
            f"host={self.host} port={self.port} user={SUPERUSER} password={self.password} dbname={database}"
            " connect_timeout=5 application_name=rdsadmin"
        )

    def create(self, template: Path | None = None) -> None:
        """Make the data directory, with initdb or as a copy of `template` (made with the same password)."""
        for folder in (self.root, self.archive, self.logs):
            folder.mkdir(parents=True, exist_ok=True)
        give_away(self.root)
        if template:
            self.run("cp", "-a", "--reflink=auto", str(template), str(self.data))
        else:
            self._initialize()
        self.certify()
        self.configure({})
        give_away(self.root)

    def certify(self) -> None:
        """Give the server a certificate for the address at which it answers from its next start on."""
        key, certificate = self_signed(self.host)
        (self.data / "server.crt").write_bytes(certificate)
        (self.data / "server.key").write_bytes(key)
        (self.data / "server.key").chmod(0o600)

    def configure(self, settings: Mapping[str, str], *, force_ssl: bool = False, archive: bool = False) -> None:
        """Write the whole configuration; it counts from the next start or reload on."""
        # A segment that is closed early is mostly zeros: sparse, it takes a few kB.
        copy = f'cp --sparse=always "%p" "{self.archive}/%f.tmp" && mv "{self.archive}/%f.tmp" "{self.archive}/%f"'
        archiving = {"archive_mode": "on", "archive_command": copy if archive else "true"}
        ssl = {"ssl": "on" if self.binaries.has_ssl else "off"}
        where = {"listen_addresses": self.host, "port": str(self.port), "log_directory": str(self.logs)}
        merged = {**FIXED, **archiving, **ssl, **settings, **where}
        lines = [f"{name} = '{_quoted(value)}'\n" for name, value in merged.items()]
        (self.data / "lab.conf").write_text("".join(lines))
        kind = "hostssl" if force_ssl and self.binaries.has_ssl else "host"
        (self.data / "pg_hba.conf").write_text(
            f"host all {SUPERUSER} all scram-sha-256\n"
            f"host replication {SUPERUSER} all scram-sha-256\n"
            f"{kind} all all all scram-sha-256\n"
        )

    def start(self, memory_bytes: int | None = None, seconds: float = START_SECONDS) -> None:
        """Start the server and wait until it answers; `memory_bytes` limits each process's address space."""
        command = [*run_as()]
        if shutil.which("setpriv"):
            # SIGINT ends PostgreSQL at once; the SIGTERM that spawn asks for would wait for its clients.
            command += ["setpriv", "--pdeathsig", "INT"]
        if memory_bytes:
            command += ["prlimit", f"--as={memory_bytes}:{memory_bytes}"]
        before = {path: path.stat().st_size for path in self.logs.iterdir()}
        self.process = spawn(
            [*command, self.binaries["postgres"], "-D", str(self.data)], env=ENVIRONMENT, log=self.logs / "postgres.log"
        )
        deadline = time.monotonic() + seconds
        while not self._answers():
            if not self.running or time.monotonic() > deadline:
                self.stop(signal.SIGQUIT)
                raise ClusterFailedError(self._reason(before))
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT is PostgreSQL's fast shutdown, SIGQUIT its immediate one."""
        if self.process is not None:
            self.freeze(False)
            stop(self.process, how)

    def freeze(self, frozen: bool) -> None:
        """To its clients a server that stands still is one that no packet reaches."""
        if frozen != self.frozen and self.process is not None and self.running:
            freeze(self.process, frozen)
        self.frozen = frozen

    def reload(self) -> None:
        if self.process is not None and self.running:
            self.process.send_signal(signal.SIGHUP)

    def query(self, statement: str | sql.Composed, *values: Any, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement as the superuser, in its own transaction."""
        connection = psycopg2.connect(self.dsn(database))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, values or None)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def remove(self) -> None:
        """End the server and remove its data and logs; what is archived stays."""
        self.stop(signal.SIGQUIT)
        for folder in (self.data, self.logs):
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, *command: str) -> None:
        """Run one of PostgreSQL's tools as the user whom the server runs as."""
        done = subprocess.run(
            [*run_as(), *command],
            check=False,
            env={**ENVIRONMENT, "PGPASSWORD": self.password},
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise ClusterFailedError(f"{Path(command[0]).name}: {(done.stderr or done.stdout).strip()[-600:]}")

    def _initialize(self) -> None:
        secret = self.root / "password"
        secret.touch(0o600)
        secret.write_text(self.password)
        give_away(self.root)
        self.run(
            *(self.binaries["initdb"], "-D", str(self.data), "-U", SUPERUSER, "-A", "scram-sha-256"),
            *("--pwfile", str(secret), "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8", "--wal-segsize=1"),
        )
        secret.unlink()
        with (self.data / "postgresql.conf").open("a") as configuration:
            configuration.write("include_if_exists = 'lab.conf'\n")

    def _answers(self) -> bool:
        try:
            psycopg2.connect(self.dsn()).close()
        except psycopg2.OperationalError:
            return False
        return True

    def _reason(self, before: Mapping[Path, int]) -> str:
        """What the logs say since the sizes in `before`, best the first fatal line."""
        said = ""
        for path in sorted(self.logs.iterdir()):
            said += path.read_bytes()[before.get(path, 0) :].decode(errors="replace")
        fatal = [line.split("FATAL:")[1].strip() for line in said.splitlines() if "FATAL:" in line]
        fatal = [line for line in fatal if not line.startswith("the database system is")]  # said to who came too early
        return fatal[0] if fatal else said.strip()[-300:] or "it did not answer in time"


ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def choose_port(host: str, wanted: int = PORT) -> int:
    """The wanted port where nothing listens on it (0.0.0.0 counts), else one that is free."""
    return next((port for port in (wanted, OTHER_PORT) if _is_free(host, port)), 0) or free_port(host)


def free_port(host: str) -> int:
    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def self_signed(host: str) -> tuple[bytes, bytes]:
    """A private key and a certificate for `host`, as PEM: what sslmode=require needs, not verify-full."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, certificate.public_bytes(serialization.Encoding.PEM)


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")
