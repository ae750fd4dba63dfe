"""Amazon S3, or any server that speaks its protocol."""

from sources.amazon_s3.trigger import NewObjects
from sources.amazon_sqs.account import AwsAccount

__all__ = ["AwsAccount", "NewObjects"]
