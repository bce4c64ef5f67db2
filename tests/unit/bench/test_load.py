"""What is read from the load generators."""

import pytest
from loadline_bench.load import LoadFailedError, of_h2load, of_wrk, percentile

WRK = """Running 1s test @ http://127.0.0.1:8080/v2/models/bench/infer
  1 threads and 8 connections
  3216 requests in 1.00s, 0.62MB read
loadline microseconds 1004000
loadline requests 3216
loadline p99 13910
loadline p50 2090
loadline failed 2
"""
H2LOAD = """finished in 1.00s, 4.00 req/s, 520B/s
requests: 6 total, 6 started, 4 done, 4 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 4 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 520B (520) total, 120B (120) headers (space savings 86.49%), 400B (400) data
"""
LOG = "1\t200\t100\n2\t200\t300\n3\t200\t200\n4\t200\t9000\n"


def test_wrk_tells_requests_times_and_failures() -> None:
    seen = of_wrk(WRK)
    assert (seen.requests, seen.seconds, seen.p50_ms, seen.p99_ms, seen.failed) == (3216, 1.004, 2.09, 13.91, 2)


def test_a_wrk_that_says_nothing_is_a_failure_that_quotes_it() -> None:
    with pytest.raises(LoadFailedError, match="unable to connect"):
        of_wrk("unable to connect to 127.0.0.1:1")


def test_h2load_tells_requests_and_times_from_its_log() -> None:
    seen = of_h2load(H2LOAD, LOG, frame_bytes=100)
    assert (seen.requests, seen.seconds, seen.p50_ms, seen.p99_ms, seen.failed) == (4, 1.0, 0.2, 9.0, 0)


def test_a_call_that_was_answered_without_a_message_counts_as_failed() -> None:
    without = H2LOAD.replace("400B (400) data", "100B (100) data")
    assert of_h2load(without, LOG, frame_bytes=100).failed == 3


def test_an_answer_with_another_status_counts_as_failed_and_not_as_a_request() -> None:
    seen = of_h2load(H2LOAD, f"{LOG}5\t503\t10\n", frame_bytes=100)
    assert (seen.requests, seen.failed) == (4, 1)


def test_an_h2load_that_reached_nothing_is_a_failure() -> None:
    with pytest.raises(LoadFailedError):
        of_h2load(H2LOAD, "", frame_bytes=100)


@pytest.mark.parametrize(("share", "value"), [(0, 1), (50, 50), (99, 99), (100, 100)])
def test_a_percentile_is_one_of_the_values(share: int, value: int) -> None:
    assert percentile(list(range(1, 101)), share) == value
