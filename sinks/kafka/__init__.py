"""Apache Kafka, or any server that speaks its protocol."""

from sinks.kafka.produce import Produce

__all__ = ["Produce"]
