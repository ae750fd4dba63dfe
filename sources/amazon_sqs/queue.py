"""The calls of one queue that a reader makes, ten messages at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flowspec.errors import FatalError, TransientError
from sources.amazon_sqs.errors import classify, is_passing

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sqs.type_defs import BatchResultErrorEntryTypeDef, MessageTypeDef

    from sources.amazon_sqs.leases import Lease

__all__ = ["TEN", "Outcome", "Queue"]

_log = logging.getLogger(__name__)

TEN = 10
"""The most messages of one call. Source: "Amazon SQS message quotas" in the developer guide."""
_SHORTEST_VISIBILITY = 2
_DEFAULT_VISIBILITY = 30
"""What SQS gives a queue by default; used where the account may not read the queue's attributes."""


@dataclass(frozen=True)
class Outcome:
    """What became of a batch; the messages named nowhere in it are done."""

    again: Sequence[Lease] = ()
    """Failed by a fault of the server: worth another try."""
    refused: Sequence[Lease] = ()
    """Failed for good: the receipt is not valid any more, so the message is somebody else's."""


class Queue:
    """One queue through one client; safe to use from any thread.

    Every method raises `TransientError` or `FatalError`, never an exception of boto3.
    """

    def __init__(self, client: SQSClient, url: str, wait_time: int, attributes: Sequence[str]) -> None:
        self._client = client
        self._url = url
        self._receive_options: dict[str, Any] = {
            "WaitTimeSeconds": wait_time,
            "MessageSystemAttributeNames": ["All"],
        }
        if attributes:
            self._receive_options["MessageAttributeNames"] = list(attributes)

    def use_visibility(self, seconds: int | None) -> int:
        """Receive with this visibility timeout, or with the queue's own; answers the seconds."""
        if seconds is None:
            try:
                with self._translated():
                    answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["VisibilityTimeout"])
                own = int(answer.get("Attributes", {}).get("VisibilityTimeout", _DEFAULT_VISIBILITY))
            except FatalError as error:
                if "AccessDenied" not in str(error):
                    raise
                own = 0
                _log.warning("visibility timeout unknown, %d s are used: %s", _DEFAULT_VISIBILITY, error)
            # Too short to be extended in time: such a queue hands out each message again at once.
            if own >= _SHORTEST_VISIBILITY:
                return own
            seconds = _DEFAULT_VISIBILITY
        self._receive_options["VisibilityTimeout"] = seconds
        return seconds

    def receive(self, most: int, wait: int | None = None) -> list[MessageTypeDef]:
        """Receive up to ten messages, waiting for them at the server, where that is said for `wait` seconds."""
        options = self._receive_options if wait is None else {**self._receive_options, "WaitTimeSeconds": wait}
        with self._translated():
            answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=most, **options)
        return answer.get("Messages", [])

    def delete(self, leases: Sequence[Lease]) -> Outcome:
        """Delete up to ten messages."""
        with self._translated():
            answer = self._client.delete_message_batch(
                QueueUrl=self._url,
                Entries=[{"Id": str(index), "ReceiptHandle": lease.receipt} for index, lease in enumerate(leases)],
            )
        return _outcome(leases, answer.get("Failed", []))

    def change_visibility(self, leases: Sequence[Lease], seconds: Sequence[int]) -> Outcome:
        """Set for how many seconds from now up to ten messages stay ours; 0 gives them back."""
        with self._translated():
            answer = self._client.change_message_visibility_batch(
                QueueUrl=self._url,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": lease.receipt, "VisibilityTimeout": timeout}
                    for index, (lease, timeout) in enumerate(zip(leases, seconds, strict=True))
                ],
            )
        return _outcome(leases, answer.get("Failed", []))

    def make_visible(self, leases: Sequence[Lease]) -> Outcome:
        """Give up to ten messages back."""
        return self.change_visibility(leases, [0] * len(leases))

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (TransientError, FatalError):
            raise
        except Exception as error:
            raise classify(error, self._url) from error


def _outcome(leases: Sequence[Lease], failed: Sequence[BatchResultErrorEntryTypeDef]) -> Outcome:
    if not failed:
        return Outcome()
    again: list[Lease] = []
    refused: list[Lease] = []
    for entry in failed:
        passing = not entry["SenderFault"] or is_passing(entry["Code"])
        (again if passing else refused).append(leases[int(entry["Id"])])
    return Outcome(again, refused)
