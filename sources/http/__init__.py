"""HTTP APIs."""

from sources.http.account import HttpAccount, OAuth2
from sources.http.trigger import PollEndpoint

__all__ = ["HttpAccount", "OAuth2", "PollEndpoint"]
