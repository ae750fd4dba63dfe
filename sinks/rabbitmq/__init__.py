"""RabbitMQ, or any broker that speaks AMQP 0-9-1."""

from sinks.rabbitmq.action import Publish

__all__ = ["Publish"]
