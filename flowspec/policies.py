"""What happens to a record that a step or sink fails on."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias, get_args

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from flowspec.fields import Duration
from flowspec.model import SpecModel

__all__ = ["ErrorPolicy", "FinalPolicy", "Retry", "RetryPolicy", "StopAfter", "final_policy"]

FinalPolicy: TypeAlias = Literal["dead_letter", "skip", "stop"]


class Retry(SpecModel):
    """Attempts at a record, with pauses that double from `backoff` to `max_backoff`."""

    attempts: Annotated[
        int, Field(ge=1, le=1000, description="How often it is tried, the first time included.", examples=[5])
    ] = 5
    backoff: Annotated[
        Duration, Field(gt=0, description="How long to wait before the second attempt.", examples=["1s"])
    ] = 1.0
    max_backoff: Annotated[
        Duration, Field(gt=0, description="The longest wait between two attempts.", examples=["1m"])
    ] = 60.0
    then: Annotated[
        FinalPolicy, Field(description="What happens to the record when the last attempt failed.", examples=["skip"])
    ] = "dead_letter"

    def wait_after(self, attempts: int) -> float:
        """Seconds to wait when so many attempts have failed."""
        return float(min(self.backoff * 2.0 ** min(attempts - 1, 60), self.max_backoff))


class RetryPolicy(SpecModel):
    """Try again before the record is given up."""

    retry: Annotated[
        Retry, Field(description="How often, and after which waits.", examples=[{"attempts": 5, "backoff": "1s"}])
    ]


def _chosen(value: Any) -> Any:
    """What is written, as what it can only be: so that a mistake in it is said once."""
    if isinstance(value, dict):
        return RetryPolicy.model_validate(value)
    if isinstance(value, str) and value not in get_args(FinalPolicy):
        kind, allowed = "error_policy", "'dead_letter', 'skip', 'stop' or {\"retry\": {\"attempts\": 5}}"
        message = "expected {allowed}, found the text {found}"
        raise PydanticCustomError(kind, message, {"allowed": allowed, "found": repr(value)})
    return value


ErrorPolicy: TypeAlias = Annotated[FinalPolicy | RetryPolicy, BeforeValidator(_chosen)]


def final_policy(policy: ErrorPolicy) -> FinalPolicy:
    """What happens in the end."""
    return policy.retry.then if isinstance(policy, RetryPolicy) else policy


class StopAfter(SpecModel):
    """How many failures are too many: then something is wrong with more than the records."""

    failures: Annotated[
        int, Field(ge=1, description="Records that failed for good, dead letters and skipped ones.", examples=[100])
    ]
    within: Annotated[Duration, Field(gt=0, description="The time in which they are counted.", examples=["1m"])] = 60.0
