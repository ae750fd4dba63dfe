"""RabbitMQ, or any broker that speaks AMQP 0-9-1."""

from sources.rabbitmq.account import RabbitAccount
from sources.rabbitmq.trigger import ConsumeQueue

__all__ = ["ConsumeQueue", "RabbitAccount"]
