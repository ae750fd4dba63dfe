"""Apache Kafka, or any server that speaks its protocol."""

from sources.kafka.account import KafkaAccount
from sources.kafka.trigger import ConsumeTopics

__all__ = ["ConsumeTopics", "KafkaAccount"]
