"""CloudWatch Logs as the runbook uses it: filter patterns, Insights queries, metric filters, saved queries."""

import json
import random
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given
from hypothesis import strategies as st

from lab.insights import Event, compile_query
from lab.insights_tokens import BadQuery
from lab.log_pattern import BadPattern, compile_pattern

GROUP = "/aws/ec2/demo-flask-app-prod"
MINUTE = 60_000
NOON = int(datetime(2024, 1, 15, 12, tzinfo=UTC).timestamp() * 1000)


def line(level: str = "INFO", **more: Any) -> str:
    return json.dumps({"level": level, "msg": "request", "path": "/items", **more})


class TestFilterPatterns:
    @pytest.mark.parametrize(
        ("pattern", "message", "expected"),
        [
            ("", "anything", True),
            ("ERROR", "[ERROR] broken", True),
            ("error", "[ERROR] broken", False),
            ("ERROR broken", "broken: ERROR", True),
            ("ERROR broken", "ERROR only", False),
            ("500", "GET / 500", True),
            ("500", "GET / 200", False),
            ('"connection refused"', "psycopg2: connection refused by peer", True),
            ('"connection refused"', "refused connection", False),
            ('"say \\"no\\""', 'they say "no"', True),
            ("ERROR -timeout", "ERROR timeout", False),
            ("ERROR -timeout", "ERROR refused", True),
            ('-"read timeout"', "ok", True),
            ("?ERROR ?WARN", "WARN disk", True),
            ("?ERROR ?WARN", "INFO disk", False),
            ("disk ?ERROR ?WARN", "INFO disk", True),
            ("%5[0-9]{2}%", "GET / 503", True),
            ("%5[0-9]{2}%", "GET / 404", False),
            ('{ $.level = "ERROR" }', line("ERROR"), True),
            ('{ $.level = "ERROR" }', line("INFO"), False),
            ('{ $.level = "ERROR" }', "ERROR but no JSON", False),
            ('{$.level="ERROR"}', line("ERROR"), True),
            ("{ $.level = ERROR }", line("ERROR"), True),
            ('{ $.level != "ERROR" }', line("INFO"), True),
            ('{ $.level != "ERROR" }', line("ERROR"), False),
            ('{ $.absent != "x" }', line(), False),
            ('{ $.path = "/it*" }', line(), True),
            ("{ $.ip = 10.0.* }", line(ip="10.0.3.7"), True),
            ("{ $.ip = 10.0.* }", line(ip="10.1.3.7"), False),
            ('{ $.path = "[/i]tems?" }', line(), False),
            ("{ $.status = 5* }", line(status=503), True),
            ("{ $.status = 503 }", line(status=503), True),
            ("{ $.status = 503 }", line(status="503"), True),
            ('{ $.status = "503" }', line(status=503), False),
            ("{ $.ms > 1000 }", line(ms=1000.5), True),
            ("{ $.ms >= 1000 }", line(ms=1000), True),
            ("{ $.ms < 1e3 }", line(ms=1000), False),
            ("{ $.ms <= -2.5 }", line(ms=-3), True),
            ("{ $.ms > 10 }", line(ms="1000"), False),
            ('{ $.level = "ERROR" && $.status = 500 }', line("ERROR", status=500), True),
            ('{ $.level = "ERROR" && $.status = 500 }', line("ERROR", status=404), False),
            ('{ $.level = "WARN" || $.status >= 500 }', line(status=500), True),
            ("{ $.a = 1 || $.b = 1 && $.c = 1 }", '{"a": 1, "b": 0, "c": 0}', True),
            ("{ ($.a = 1 || $.b = 1) && $.c = 1 }", '{"a": 1, "b": 0, "c": 0}', False),
            ("{ $.error IS NULL }", line(error=None), True),
            ("{ $.error IS NULL }", line(), False),
            ("{ $.error NOT EXISTS }", line(), True),
            ("{ $.error NOT EXISTS }", line(error=None), False),
            ("{ $.ok IS TRUE }", line(ok=True), True),
            ("{ $.ok IS FALSE }", line(ok=True), False),
            ("{ $.ok = 1 }", line(ok=True), False),
            ("{ $.user.id = 7 }", line(user={"id": 7}), True),
            ("{ $.users[1].name = Ann }", line(users=[{"name": "Bob"}, {"name": "Ann"}]), True),
            ("{ $.users[5].name = Ann }", line(users=[]), False),
            ("{ $.['a b'] = 1 }", '{"a b": 1}', True),
            ("{ $.msg = %^req% }", line(), True),
        ],
    )
    def test_matches_as_aws_does(self, pattern: str, message: str, expected: bool) -> None:
        assert compile_pattern(pattern).matches(message) is expected

    @pytest.mark.parametrize(
        "pattern",
        [
            '{ $.level = "ERROR"',
            "{ }",
            "{ $.level }",
            "{ $.level == 3 }",
            '{ level = "ERROR" }',
            "{ $.ms > fast }",
            "{ ($.a = 1 }",
            "{ $.a = 1 && }",
            "{ $.a IS MAYBE }",
            "{ $.a = 1 } ERROR",
            "key=value",
            "time-out",
            '"unclosed',
            "%(group)%",
            "%[%",
            "[ip, user, status=5*]",
        ],
    )
    def test_refuses_what_aws_refuses(self, pattern: str) -> None:
        with pytest.raises(BadPattern):
            compile_pattern(pattern)

    @given(st.lists(st.text(alphabet="abcXYZ019_", min_size=1, max_size=6), max_size=5), st.text(max_size=40))
    def test_words_are_all_needed_wherever_they_stand(self, words: list[str], message: str) -> None:
        assert compile_pattern(" ".join(words)).matches(message) is all(word in message for word in words)

    @given(st.text(max_size=40))
    def test_any_text_is_a_pattern_or_is_refused(self, pattern: str) -> None:
        try:
            compile_pattern(pattern).matches('{"a": 1}')
        except BadPattern:
            pass

    @given(st.integers(-1000, 1000), st.integers(-1000, 1000))
    def test_numbers_compare_as_numbers(self, value: int, limit: int) -> None:
        message = json.dumps({"n": value})
        for sign, truth in ((">", value > limit), ("<=", value <= limit), ("=", value == limit)):
            assert compile_pattern(f"{{ $.n {sign} {limit} }}").matches(message) is truth


def run(query: str, *messages: str, step: int = 1000) -> list[dict[str, str]]:
    """The rows of a query over these messages, one each second from noon on, without the pointers."""
    events = [Event(NOON + n * step, m, "stream", "1:g", str(n)) for n, m in enumerate(messages)]
    rows = compile_query(query).run(events)
    return [{name: value for name, value in row.items() if name != "@ptr"} for row in rows]


class TestInsightsLanguage:
    def test_top_ten_error_messages(self) -> None:
        """P33, as the runbook has it."""
        counts = {f"message {n:02d}": n for n in range(1, 13)}
        messages = [line("ERROR", msg=msg) for msg, count in counts.items() for _ in range(count)]
        random.Random(7).shuffle(messages)  # noqa: S311 - an order, not a secret
        rows = run(
            """fields @timestamp, level, msg, error
            | filter level = "ERROR"
            | stats count() as error_count by msg
            | sort error_count desc
            | limit 10""",
            *messages,
            *[line("INFO", msg="fine")] * 50,
        )
        assert rows == [{"msg": f"message {n:02d}", "error_count": str(n)} for n in range(12, 2, -1)]

    def test_response_time_percentiles(self) -> None:
        """P34."""
        rows = run(
            """fields @timestamp, response_time_ms
            | filter ispresent(response_time_ms)
            | stats avg(response_time_ms), pct(response_time_ms, 50),
                    pct(response_time_ms, 95), pct(response_time_ms, 99)""",
            *[line(response_time_ms=n) for n in range(1, 101)],
            line(),
        )
        assert rows == [
            {
                "avg(response_time_ms)": "50.5",
                "pct(response_time_ms, 50)": "50",
                "pct(response_time_ms, 95)": "95",
                "pct(response_time_ms, 99)": "99",
            }
        ]

    def test_request_volume_over_time(self) -> None:
        """P35: bins begin at whole five minutes of the clock, not at the first event."""
        rows = run("fields @timestamp | stats count() as request_count by bin(5m)", *[line()] * 12, step=MINUTE)
        assert rows == [
            {"bin(5m)": "2024-01-15 12:10:00.000", "request_count": "2"},
            {"bin(5m)": "2024-01-15 12:05:00.000", "request_count": "5"},
            {"bin(5m)": "2024-01-15 12:00:00.000", "request_count": "5"},
        ]

    def test_slow_requests(self) -> None:
        """P36."""
        rows = run(
            """fields @timestamp, method, path, response_time_ms
            | filter response_time_ms > 1000
            | sort @timestamp desc
            | limit 100""",
            *[line(method="GET", response_time_ms=ms) for ms in (999, 1000, 1000.25, 20_000)],
        )
        assert rows == [
            {"@timestamp": "2024-01-15 12:00:03.000", "method": "GET", "path": "/items", "response_time_ms": "20000"},
            {"@timestamp": "2024-01-15 12:00:02.000", "method": "GET", "path": "/items", "response_time_ms": "1000.25"},
        ]

    def test_slow_requests_by_cause(self) -> None:
        """P54: the slowest first, as numbers and not as texts."""
        rows = run(
            """fields @timestamp, path, response_time_ms, db_query_time_ms
            | filter response_time_ms > 1000
            | sort response_time_ms desc
            | limit 50""",
            *[line(response_time_ms=ms, db_query_time_ms=ms / 2) for ms in (9000, 10_000, 1500, 3)],
        )
        assert [row["response_time_ms"] for row in rows] == ["10000", "9000", "1500"]
        assert rows[0]["db_query_time_ms"] == "5000"

    def test_weekly_error_trend(self) -> None:
        """P20: after stats there is no @timestamp to sort by; the query runs all the same."""
        rows = run(
            """fields @timestamp, @message
            | filter level = "ERROR"
            | stats count() by bin(5m)
            | sort @timestamp desc""",
            line("ERROR"),
            line("ERROR"),
            line("INFO"),
        )
        assert rows == [{"bin(5m)": "2024-01-15 12:00:00.000", "count()": "2"}]

    def test_recent_errors_without_their_error(self) -> None:
        """A column that an event lacks is absent from its row."""
        rows = run('fields @timestamp, level, msg | filter level = "ERROR" | limit 20', '{"level": "ERROR"}')
        assert rows == [{"@timestamp": "2024-01-15 12:00:00.000", "level": "ERROR"}]

    @pytest.mark.parametrize(
        ("condition", "expected"),
        [
            ('level = "ERROR"', True),
            ("level = 'ERROR'", True),
            ('level != "ERROR"', False),
            ('absent != "x"', True),
            ('absent = "x"', False),
            ("ms > 99", True),
            ("ms >= 100 and ms <= 100", True),
            ("ms < 99 or ms = 100", True),
            ("not ms < 99", True),
            ("ms in [1, 100]", True),
            ('level in ["WARN", "INFO"]', False),
            ('level not in ["WARN", "INFO"]', True),
            ('msg like "con"', True),
            ("msg like /^db .*refused$/", True),
            ("msg not like /timeout/", True),
            ("msg =~ /CONN/i", True),
            ("@message like /conn/", True),
            ("ispresent(ms) and not ispresent(absent)", True),
            ("ms / 2 = 50", True),
            ("ms - 1 > 98 and ms * 2 + 1 = 201", True),
            ("ms / 0 > 0", False),
            ("(ms = 1 or ms = 100) and level = 'ERROR'", True),
            ("ms = 1 or ms = 100 and level = 'INFO'", False),
            ("user.id = 7", True),
            ("users.1.name = 'Ann'", True),
            ("`odd-name` = 1", True),
            ("strlen(level) = 5", True),
            ("tolower(level) = 'error'", True),
            ("coalesce(absent, level) = 'ERROR'", True),
            ("strcontains(msg, 'conn') = 1 or strcontains(msg, 'conn')", True),
            ("isempty(absent)", True),
        ],
    )
    def test_conditions(self, condition: str, expected: bool) -> None:
        event = line(
            "ERROR", ms=100, msg="db conn refused", user={"id": 7}, users=[{}, {"name": "Ann"}], **{"odd-name": 1}
        )
        assert bool(run(f"fields level | filter {condition}", event)) is expected

    def test_aggregates(self) -> None:
        rows = run(
            """stats count(*) as n, count(ms) as with_ms, sum(ms), min(ms), max(ms), median(ms),
                     count_distinct(level) as levels, latest(level), earliest(level) by path""",
            line("WARN", ms=1),
            line("INFO", ms=3),
            line("ERROR", ms=8),
            line("INFO"),
        )
        assert rows == [
            {
                "path": "/items",
                "n": "4",
                "with_ms": "3",
                "sum(ms)": "12",
                "min(ms)": "1",
                "max(ms)": "8",
                "median(ms)": "3",
                "levels": "3",
                "latest(level)": "INFO",
                "earliest(level)": "WARN",
            }
        ]

    def test_parse_display_and_dedup(self) -> None:
        rows = run(
            """parse @message "took * ms for *" as ms, user
            | filter ms > 5 | sort ms asc | dedup user | display user, ms * 2 as twice""",
            "took 9 ms for ann",
            "took 7 ms for bob",
            "took 8 ms for ann",
            "took 1 ms for eve",
        )
        assert rows == [{"user": "bob", "twice": "14"}, {"user": "ann", "twice": "16"}]
        assert run("parse @message /took (?<ms>\\d+)/ | display ms", "took 12") == [{"ms": "12"}]

    def test_without_columns_time_and_message_are_shown_newest_first(self) -> None:
        assert run("filter @message like 'x'  # why not", "x1", "y", "x2") == [
            {"@timestamp": "2024-01-15 12:00:02.000", "@message": "x2"},
            {"@timestamp": "2024-01-15 12:00:00.000", "@message": "x1"},
        ]

    @pytest.mark.parametrize(
        "query",
        [
            "",
            "fields",
            "select *",
            "fields @timestamp | filter",
            "fields @timestamp | limt 10",
            "fields @timestamp limit 10",
            "fields @timestamp | limit ten",
            "filter level == 'ERROR'",
            "filter level = 'ERROR",
            "filter level = ERROR'",
            "stats count( by msg",
            "stats pct(ms)",
            "stats pct(ms, 101)",
            "stats madeup(ms)",
            "filter madeup(ms)",
            "sort",
            "filter x like /(/",
            "filter level = 'ERROR' |",
            "parse @message 'a * b *' as one",
        ],
    )
    def test_refuses_malformed_queries(self, query: str) -> None:
        with pytest.raises(BadQuery):
            compile_query(query)

    @given(st.text(max_size=60))
    def test_any_text_is_a_query_or_is_refused(self, text: str) -> None:
        try:
            run(text, line())
        except BadQuery:
            pass

    @given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 1000)), min_size=1, max_size=40))
    def test_groups_add_up_to_the_whole(self, found: list[tuple[str, int]]) -> None:
        messages = [json.dumps({"key": key, "ms": ms}) for key, ms in found]
        groups = run("stats count() as n, sum(ms) as total, max(ms) as worst by key", *messages)
        assert sum(int(row["n"]) for row in groups) == len(found)
        assert sum(int(row["total"]) for row in groups) == sum(ms for _, ms in found)
        assert max(int(row["worst"]) for row in groups) == max(ms for _, ms in found)


@pytest.fixture
def logs(client: Callable[..., Any]) -> Any:
    api = client("logs")
    api.create_log_group(logGroupName=GROUP)
    for stream in ("i-1", "i-2"):
        api.create_log_stream(logGroupName=GROUP, logStreamName=stream)
    return api


def put(logs: Any, *messages: str, stream: str = "i-1", ago: timedelta = timedelta(minutes=5)) -> int:
    """Put the messages a millisecond apart from `ago` on; the first one's timestamp."""
    first = int((datetime.now(UTC) - ago).timestamp() * 1000)
    events = [{"timestamp": first + n, "message": message} for n, message in enumerate(messages)]
    logs.put_log_events(logGroupName=GROUP, logStreamName=stream, logEvents=events)
    return first


def refusal(call: Callable[..., Any], **arguments: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return str(refused.value.response["Error"]["Code"])


class TestFilterLogEvents:
    def test_errors_of_all_streams_in_the_order_of_time(self, logs: Any) -> None:
        put(logs, line("ERROR", msg="second"), line("INFO"), stream="i-2", ago=timedelta(minutes=3))
        put(logs, line("ERROR", msg="first"), line("INFO"), stream="i-1", ago=timedelta(minutes=5))
        answer = logs.filter_log_events(logGroupName=GROUP, filterPattern='{ $.level = "ERROR" }')
        found = [(event["logStreamName"], json.loads(event["message"])["msg"]) for event in answer["events"]]
        assert found == [("i-1", "first"), ("i-2", "second")]
        assert "nextToken" not in answer

    def test_the_range_includes_both_its_ends(self, logs: Any) -> None:
        first = put(logs, "a", "b", "c", "d")
        answer = logs.filter_log_events(logGroupName=GROUP, startTime=first + 1, endTime=first + 2)
        assert [event["message"] for event in answer["events"]] == ["b", "c"]

    def test_pages_hold_every_event_once_even_when_others_arrive_between(self, logs: Any) -> None:
        put(logs, *(f"{number}" for number in range(25)))
        seen: list[str] = []
        token: dict[str, str] = {}
        while True:
            page = logs.filter_log_events(logGroupName=GROUP, limit=10, **token)
            seen += [event["message"] for event in page["events"]]
            put(logs, "older", stream="i-2", ago=timedelta(hours=1))
            if "nextToken" not in page:
                break
            token = {"nextToken": page["nextToken"]}
        assert seen == [f"{number}" for number in range(25)]

    def test_boto3s_paginator_gets_everything(self, logs: Any) -> None:
        put(logs, *(f"{number}" for number in range(25)))
        pages = logs.get_paginator("filter_log_events").paginate(logGroupName=GROUP, PaginationConfig={"PageSize": 7})
        assert sum(len(page["events"]) for page in pages) == 25

    def test_streams_by_name_or_prefix(self, logs: Any) -> None:
        put(logs, "one", stream="i-1")
        put(logs, "two", stream="i-2")
        by_name = logs.filter_log_events(logGroupName=GROUP, logStreamNames=["i-2"])
        by_prefix = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix="i-1")
        assert [by_name["events"][0]["message"], by_prefix["events"][0]["message"]] == ["two", "one"]

    def test_refusals(self, logs: Any) -> None:
        search = logs.filter_log_events
        invalid = "InvalidParameterException"
        assert refusal(search, logGroupName="/absent") == "ResourceNotFoundException"
        assert refusal(search, logGroupName=GROUP, logStreamNames=["absent"]) == "ResourceNotFoundException"
        assert refusal(search, logGroupName=GROUP, filterPattern="{ level = 1 }") == invalid
        assert refusal(search, logGroupName=GROUP, nextToken="made up") == invalid
        assert refusal(search, logGroupName=GROUP, startTime=2, endTime=1) == invalid
        assert refusal(search, logGroupName=GROUP, logStreamNames=["i-1"], logStreamNamePrefix="i") == invalid

    def test_a_hundred_thousand_events_are_found_within_seconds(self, logs: Any) -> None:
        for _ in range(10):
            put(logs, *[line("ERROR" if n % 1000 == 0 else "INFO", n=n) for n in range(10_000)])
        began = time.monotonic()
        answer = logs.filter_log_events(logGroupName=GROUP, filterPattern='{ $.level = "ERROR" }')
        assert len(answer["events"]) == 100
        rows = query(logs, "stats count() as n, pct(n, 95) by level")["results"]
        assert sorted(row[1]["value"] for row in rows) == ["100", "99900"]
        assert time.monotonic() - began < 12


class TestPutLogEvents:
    def test_refuses_the_batches_that_aws_refuses(self, logs: Any) -> None:
        now = int(time.time() * 1000)
        day = 25 * 3_600_000
        for events in (
            [{"timestamp": now, "message": "x"}] * 10_001,
            [{"timestamp": now, "message": "x" * 300_000}] * 4,
            [{"timestamp": now - day, "message": "x"}, {"timestamp": now, "message": "x"}],
            [{"timestamp": now, "message": "x"}, {"timestamp": now - 1, "message": "x"}],
        ):
            code = refusal(logs.put_log_events, logGroupName=GROUP, logStreamName="i-1", logEvents=events)
            assert code == "InvalidParameterException"


def query(logs: Any, text: str, **more: Any) -> Any:
    """Run a query over the last hour to its end."""
    now = int(time.time())
    key = logs.start_query(logGroupName=GROUP, startTime=now - 3600, endTime=now, queryString=text, **more)["queryId"]
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        answer = logs.get_query_results(queryId=key)
        if answer["status"] not in ("Scheduled", "Running"):
            return answer
        time.sleep(0.05)
    raise AssertionError("the query did not end")


UNDER_WAY = {"Scheduled", "Running"}  # a busy machine may look too late for the first


class TestInsightsQueries:
    def test_is_not_complete_at_once(self, logs: Any) -> None:
        """D20: who sleeps a fixed time and reads the results once may get none."""
        put(logs, line("ERROR"))
        now = int(time.time())
        key = logs.start_query(logGroupName=GROUP, startTime=now - 3600, endTime=now, queryString="fields level")[
            "queryId"
        ]
        first = logs.get_query_results(queryId=key)
        assert (first["status"] in UNDER_WAY, first["results"]) == (True, [])
        seen = {first["status"]}
        while "Complete" not in seen:
            seen.add(logs.get_query_results(queryId=key)["status"])
        assert seen - UNDER_WAY == {"Complete"}

    def test_answers_rows_of_fields_and_statistics(self, logs: Any) -> None:
        put(logs, line("ERROR", msg="boom"), line("INFO"), line("ERROR", msg="boom"))
        answer = query(logs, 'filter level = "ERROR" | stats count() as n by msg')
        assert answer["status"] == "Complete"
        assert answer["results"] == [[{"field": "msg", "value": "boom"}, {"field": "n", "value": "2"}]]
        assert answer["statistics"]["recordsMatched"] == 2
        assert answer["statistics"]["recordsScanned"] == 3

    def test_a_row_of_events_has_a_pointer_to_its_event(self, logs: Any) -> None:
        put(logs, line("ERROR"))
        (row,) = query(logs, "fields level")["results"]
        assert [cell["field"] for cell in row] == ["level", "@ptr"]

    def test_the_range_is_the_queries(self, logs: Any) -> None:
        put(logs, line("ERROR"), ago=timedelta(hours=2))
        put(logs, line("INFO"))
        (row,) = query(logs, "fields level")["results"]
        assert row[0]["value"] == "INFO"

    def test_several_groups_at_once_and_a_limit_of_the_call(self, logs: Any) -> None:
        logs.create_log_group(logGroupName="/other")
        put(logs, *[line()] * 9)
        now = int(time.time())
        key = logs.start_query(
            logGroupNames=[GROUP, "/other"], startTime=now - 600, endTime=now, queryString="fields level", limit=4
        )["queryId"]
        while (answer := logs.get_query_results(queryId=key))["status"] != "Complete":
            time.sleep(0.05)
        assert len(answer["results"]) == 4
        (listed,) = logs.describe_queries(logGroupName="/other")["queries"]
        assert (listed["queryId"], listed["status"]) == (key, "Complete")

    def test_can_be_stopped_while_it_runs(self, logs: Any) -> None:
        now = int(time.time())
        key = logs.start_query(logGroupName=GROUP, startTime=0, endTime=now, queryString="fields level")["queryId"]
        assert logs.stop_query(queryId=key)["success"] is True
        assert logs.get_query_results(queryId=key)["status"] == "Cancelled"
        assert refusal(logs.stop_query, queryId=key) == "InvalidParameterException"

    def test_refusals(self, logs: Any) -> None:
        start = logs.start_query
        times: dict[str, Any] = {"startTime": 1, "endTime": 2}
        assert refusal(start, logGroupName=GROUP, queryString="select *", **times) == "MalformedQueryException"
        assert refusal(start, logGroupName="/absent", queryString="fields x", **times) == "ResourceNotFoundException"
        assert refusal(start, queryString="fields x", **times) == "InvalidParameterException"
        backwards = refusal(start, logGroupName=GROUP, queryString="fields x", startTime=2, endTime=1)
        assert backwards == "InvalidParameterException"
        assert refusal(logs.get_query_results, queryId="absent") == "ResourceNotFoundException"


class TestMetricFilters:
    def put_filter(self, logs: Any, pattern: str, value: str = "1", **more: Any) -> None:
        transformation = {"metricName": "Errors", "metricNamespace": "App", "metricValue": value, **more}
        logs.put_metric_filter(
            logGroupName=GROUP, filterName="errors", filterPattern=pattern, metricTransformations=[transformation]
        )

    def statistics(self, client: Callable[..., Any], **more: Any) -> dict[str, float]:
        now = datetime.now(UTC)
        answer = client("cloudwatch").get_metric_statistics(
            Namespace="App",
            MetricName="Errors",
            StartTime=now - timedelta(hours=1),
            EndTime=now + timedelta(minutes=1),
            Period=7200,
            Statistics=["Sum", "SampleCount", "Maximum"],
            **more,
        )
        (point,) = answer["Datapoints"]
        return {name: point[name] for name in ("Sum", "SampleCount", "Maximum")}

    def test_events_that_match_are_counted(self, logs: Any, client: Callable[..., Any]) -> None:
        self.put_filter(logs, '{ $.level = "ERROR" }')
        put(logs, line("ERROR"), line("INFO"), line("ERROR"))
        assert self.statistics(client) == {"Sum": 2, "SampleCount": 2, "Maximum": 1}

    def test_a_field_can_be_the_value(self, logs: Any, client: Callable[..., Any]) -> None:
        self.put_filter(logs, "{ $.ms > 0 }", "$.ms")
        put(logs, line(ms=250), line(ms=1250), line())
        assert self.statistics(client) == {"Sum": 1500, "SampleCount": 2, "Maximum": 1250}

    def test_a_quiet_minute_reports_the_default_value(self, logs: Any, client: Callable[..., Any]) -> None:
        self.put_filter(logs, "ERROR", defaultValue=0)
        put(logs, "INFO", "INFO", ago=timedelta(minutes=5))
        assert self.statistics(client) == {"Sum": 0, "SampleCount": 1, "Maximum": 0}
        put(logs, "ERROR", "INFO", ago=timedelta(minutes=2))
        assert self.statistics(client) == {"Sum": 1, "SampleCount": 2, "Maximum": 1}

    def test_a_field_can_be_a_dimension(self, logs: Any, client: Callable[..., Any]) -> None:
        self.put_filter(logs, "{ $.path = * }", dimensions={"Path": "$.path"})
        put(logs, line(path="/a"), line(path="/b"), line(path="/a"))
        assert self.statistics(client, Dimensions=[{"Name": "Path", "Value": "/a"}])["Sum"] == 2

    def test_a_filter_put_again_is_replaced(self, logs: Any, client: Callable[..., Any]) -> None:
        self.put_filter(logs, "ERROR")
        self.put_filter(logs, "WARN")
        (found,) = logs.describe_metric_filters(logGroupName=GROUP)["metricFilters"]
        assert found["filterPattern"] == "WARN"
        assert logs.describe_log_groups()["logGroups"][0]["metricFilterCount"] == 1
        put(logs, "WARN")
        assert self.statistics(client)["Sum"] == 1

    def test_bad_pattern_and_absent_group_are_refused(self, logs: Any) -> None:
        transformations = [{"metricName": "n", "metricNamespace": "n", "metricValue": "1"}]
        arguments = {"filterName": "f", "metricTransformations": transformations}
        bad = refusal(logs.put_metric_filter, logGroupName=GROUP, filterPattern="{ x }", **arguments)
        assert bad == "InvalidParameterException"
        absent = refusal(logs.put_metric_filter, logGroupName="/absent", filterPattern="x", **arguments)
        assert absent == "ResourceNotFoundException"

    def test_a_pattern_can_be_tried(self, logs: Any) -> None:
        matches = logs.test_metric_filter(filterPattern="ERROR", logEventMessages=["INFO", "ERROR x"])["matches"]
        assert [(match["eventNumber"], match["eventMessage"]) for match in matches] == [(2, "ERROR x")]


class TestQueryDefinitions:
    def test_are_kept_changed_and_deleted(self, logs: Any) -> None:
        text = 'fields @timestamp | filter level = "ERROR"'
        key = logs.put_query_definition(name="demo/errors", queryString=text, logGroupNames=[GROUP])[
            "queryDefinitionId"
        ]
        logs.put_query_definition(name="demo/errors", queryString="fields level", queryDefinitionId=key)
        logs.put_query_definition(name="other", queryString=text)
        (found,) = logs.describe_query_definitions(queryDefinitionNamePrefix="demo/")["queryDefinitions"]
        assert (found["queryDefinitionId"], found["queryString"], found["logGroupNames"]) == (key, "fields level", [])
        assert logs.delete_query_definition(queryDefinitionId=key)["success"] is True
        assert refusal(logs.delete_query_definition, queryDefinitionId=key) == "ResourceNotFoundException"
        assert len(logs.describe_query_definitions()["queryDefinitions"]) == 1
