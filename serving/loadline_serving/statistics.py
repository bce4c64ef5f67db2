"""How often was the model asked, and where did the time go, in the form that clients of V2's statistics read?"""

from dataclasses import dataclass
from typing import Any

from loadline_serving.inference import Identity
from loadline_serving.metrics import SUCCESS, Histogram, Recorder

_NANOSECONDS = 1e9


@dataclass(frozen=True, kw_only=True, slots=True)
class Sum:
    """How often something happened, and how many seconds it took altogether."""

    count: int = 0
    seconds: float = 0.0

    def told(self) -> dict[str, int]:
        """As clients read it."""
        return {"count": self.count, "ns": round(self.seconds * _NANOSECONDS)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What is known since the process started; a part of the time that nobody measures has the count 0."""

    success: Sum
    fail: Sum
    last_success: float
    """In seconds since 1970."""
    rows: int
    """Rows that went through the model."""
    runs: int
    """How often the model ran for them."""
    queue: Sum = Sum()
    decode: Sum = Sum()
    run: Sum = Sum()
    encode: Sum = Sum()


def taken_from(recorder: Recorder) -> Statistics:
    """What the recorder knows: the one place that reads it for this purpose."""
    good = sum(count for (_, code, _), count in recorder.requests.items() if code in SUCCESS)
    everything = sum(recorder.requests.values())
    seconds = sum(latency.total for latency in recorder.latencies.values())
    stages = recorder.stages
    return Statistics(
        success=Sum(count=good, seconds=seconds - recorder.failed_seconds),
        fail=Sum(count=everything - good, seconds=recorder.failed_seconds),
        last_success=recorder.last_success,
        rows=int(stages.batch_rows.total),
        runs=sum(stages.batch_rows.counts),
        queue=_sum(stages.queue, stages.batch_wait),
        run=_sum(stages.run),
        encode=_sum(stages.encode),
    )


def _sum(first: Histogram, *more: Histogram) -> Sum:
    """What requests spent in stages that each of them went through."""
    return Sum(count=sum(first.counts), seconds=first.total + sum(stage.total for stage in more))


def model_stats(identity: Identity, statistics: Statistics) -> dict[str, Any]:
    """The answer to a request for the model's statistics."""
    nothing = Sum().told()
    return {
        "model_stats": [
            {
                "name": identity.name,
                "version": identity.version,
                "last_inference": round(statistics.last_success * 1000),
                "inference_count": statistics.rows,
                "execution_count": statistics.runs,
                "inference_stats": {
                    "success": statistics.success.told(),
                    "fail": statistics.fail.told(),
                    "queue": statistics.queue.told(),
                    "compute_input": statistics.decode.told(),
                    "compute_infer": statistics.run.told(),
                    "compute_output": statistics.encode.told(),
                    "cache_hit": nothing,
                    "cache_miss": nothing,
                },
                "batch_stats": [],
            }
        ]
    }
