"""The smallest release: answers as the application does, starts in a moment, and can be broken on purpose."""

import json
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

VERSION = os.environ["APP_VERSION"]
INSTANCE = os.environ.get("INSTANCE_ID", "unknown")
# good, sick (never healthy), silent (never listens), failing (healthy, but errors), slow (listens after SECONDS),
# decaying (fails everything after SECONDS), overloaded (healthy, but 503 to more than PER_SECOND requests)
BEHAVIOUR = os.environ["BEHAVIOUR"]
SECONDS = float(os.environ.get("SECONDS", "3"))
PER_SECOND = int(os.environ.get("PER_SECOND", "20"))
SCHEMA = {"schema": {"version": int(os.environ.get("SCHEMA", "1"))}}  # it migrates as far as it can, at its start
BEGAN = time.monotonic()


class Throttle:
    """Lets PER_SECOND requests pass in any second."""

    def __init__(self) -> None:
        self._passed: deque[float] = deque(maxlen=PER_SECOND)
        self._lock = threading.Lock()

    def refuses(self) -> bool:
        with self._lock:
            now = time.monotonic()
            full = len(self._passed) == PER_SECOND and now - self._passed[0] < 1
            if not full:
                self._passed.append(now)
            return full


throttle = Throttle()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        healthy = {"status": "healthy", "database": "connected", "version": VERSION, "instance": INSTANCE, **SCHEMA}
        if BEHAVIOUR == "sick" and self.path == "/health":
            return self._answer(503, {"status": "starting"})
        if BEHAVIOUR == "failing" and self.path != "/health":
            return self._answer(500, {"error": "on purpose"})
        if BEHAVIOUR == "decaying" and time.monotonic() - BEGAN > SECONDS:
            return self._answer(503, {"error": "worn out"})
        if BEHAVIOUR == "overloaded" and self.path != "/health" and throttle.refuses():
            return self._answer(503, {"error": "too many requests"})
        return self._answer(200, healthy)

    def _answer(self, status: int, body: Mapping[str, object]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_arguments: object) -> None:
        """Quiet: the load tests would drown the log."""


class Server(ThreadingHTTPServer):
    daemon_threads = False  # a stop waits for the requests in flight
    request_queue_size = 128


def main() -> None:
    if BEHAVIOUR == "silent":
        signal.pause()
    if BEHAVIOUR == "slow":
        time.sleep(SECONDS)
    server = Server((os.environ.get("HOST", "0.0.0.0"), int(os.environ.get("PORT", "5000"))), Handler)
    signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=server.shutdown).start())
    print(json.dumps({"level": "INFO", "msg": "started", "version": VERSION}), flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    main()
