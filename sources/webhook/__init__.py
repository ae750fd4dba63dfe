"""An HTTP endpoint that other systems call: webhooks."""

from sources.webhook.security import Signature
from sources.webhook.trigger import Webhook

__all__ = ["Signature", "Webhook"]
