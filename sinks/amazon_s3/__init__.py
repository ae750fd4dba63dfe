"""Objects of Amazon S3, or of any server that speaks its protocol."""

from sinks.amazon_s3.action import PutObjects

__all__ = ["PutObjects"]
