"""Amazon SQS, or any server that speaks its protocol."""

from sources.amazon_sqs.account import AwsAccount
from sources.amazon_sqs.trigger import ListenQueue

__all__ = ["AwsAccount", "ListenQueue"]
