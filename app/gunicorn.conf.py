"""How gunicorn serves the application; read by `gunicorn --config app/gunicorn.conf.py`."""  # noqa: N999 - gunicorn's own name

import os
import signal
import threading
from typing import Any

from app import close_app, deadline, logs

logs.identify(os.environ.get("INSTANCE_ID", "unknown"), os.environ.get("APP_VERSION", "unknown"))
logs.conceal(os.environ.get("DATABASE_URL", ""))

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '5000')}"  # noqa: S104 - a container's own network
worker_class = "gthread"
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))
# As many as the pool has connections at most: a request that has a thread then finds a connection without waiting.
threads = min(int(os.environ.get("WEB_THREADS", "8")), int(os.environ.get("DB_POOL_MAX_CONN", "10")))
# Each worker has its own pool and keeper thread, and neither survives a fork.
preload_app = False
# Longer than the load balancer's idle timeout of 60 s, so that it never sends into a connection being closed.
keepalive = 75
timeout = 60
graceful_timeout = 25
control_socket_disable = True
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {"json": {"class": "app.logs.JsonHandler"}},
    "root": {"level": "WARNING", "handlers": ["json"]},
    "loggers": {"gunicorn.error": {"level": "INFO", "handlers": ["json"], "propagate": False}},
}


def post_worker_init(_worker: Any) -> None:
    deadline.install()
    threading.excepthook = _stop_worker


def worker_exit(_server: Any, worker: Any) -> None:
    if worker.wsgi is not None:
        close_app(worker.wsgi)


def _stop_worker(raised: threading.ExceptHookArgs) -> None:
    # A worker without its keeper would never find the database again: let gunicorn replace it.
    logs.write("CRITICAL", "a thread died", error=logs.describe(raised.exc_value or SystemExit()))
    os.kill(os.getpid(), signal.SIGTERM)
