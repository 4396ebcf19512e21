import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
from psycopg2.extensions import connection

from tests.app.serving import Service, eventually


def in_flight(database: connection) -> int:
    with database.cursor() as sql:
        sql.execute("select count(*) from pg_locks where relation = 'items'::regclass and not granted")
        return int(sql.fetchall()[0][0])


def accepted(service: Service) -> int:
    """Connections taken from the kernel's queue: the others are reset when the worker stops listening."""
    (worker,) = psutil.Process(service.process.pid).children()
    port = httpx.URL(service.url).port
    return len([each for each in worker.net_connections() if each.laddr.port == port and each.raddr])


def test_a_graceful_stop_loses_neither_requests_in_flight_nor_waiting_ones(
    run_service: Callable[..., Service], url: str, database: connection
) -> None:
    service = run_service(DATABASE_URL=url, WEB_THREADS="6")
    eventually(lambda: service.get("/ready").status_code == 200)

    def post(number: int) -> int:
        return httpx.post(f"{service.url}/items", json={"name": f"{number}", "price": 1}, timeout=20).status_code

    with ThreadPoolExecutor(10) as crowd:
        with database.cursor() as sql:
            sql.execute("begin; lock table items in access exclusive mode")
            answers = [crowd.submit(post, number) for number in range(10)]
            eventually(lambda: in_flight(database) == 6 and accepted(service) == 10)
            service.process.send_signal(signal.SIGTERM)
            eventually(lambda: any("Handling signal: term" in line["msg"] for line in service.lines()))
            assert not any(answer.done() for answer in answers)
            sql.execute("rollback")
        assert [answer.result() for answer in answers] == [201] * 10
    assert service.process.wait(10) == 0
    with database.cursor() as sql:
        sql.execute("select count(*) from items")
        assert sql.fetchall() == [(10,)]
        sql.execute(
            "select count(*) from pg_stat_activity where application_name like 'app %' and datname = current_database()"
        )
        assert sql.fetchall() == [(0,)]


def test_an_idle_service_stops_at_once_and_reports_no_error(run_service: Callable[..., Service], url: str) -> None:
    service = run_service(DATABASE_URL=url)
    with httpx.Client() as kept_alive:
        eventually(lambda: kept_alive.get(f"{service.url}/ready").status_code == 200)
        service.process.send_signal(signal.SIGTERM)
        assert service.process.wait(6) == 0
    assert not [line for line in service.lines() if line["level"] in ("ERROR", "CRITICAL")]


def test_a_stop_during_the_search_for_a_database_is_quick(run_service: Callable[..., Service]) -> None:
    service = run_service(DATABASE_URL="postgresql://nobody@127.0.0.1:1/nowhere")
    eventually(lambda: service.get("/health").status_code == 503)
    service.process.send_signal(signal.SIGTERM)
    assert service.process.wait(6) == 0


def test_a_worker_that_dies_is_replaced_and_finds_the_database_again(service: Service) -> None:
    booted = [line["msg"] for line in service.lines() if line["msg"].startswith("Booting worker")]
    worker = int(booted[0].split()[-1])
    os.kill(worker, signal.SIGKILL)
    eventually(lambda: len([line for line in service.lines() if line["msg"].startswith("Booting worker")]) == 2)
    eventually(lambda: service.get("/ready").status_code == 200)
