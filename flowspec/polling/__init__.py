"""Polling triggers: what they have in common, and what is particular to each behind `Poller`."""

from flowspec.polling.contract import Cursor, Page, Poller, PollingTrigger, Settler
from flowspec.polling.interval import Cron, Interval

__all__ = ["Cron", "Cursor", "Interval", "Page", "Poller", "PollingTrigger", "Settler"]
