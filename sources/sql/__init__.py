"""SQL databases: the trigger, and what the sink shares with it."""

from sources.sql.query_rows import QueryRows

__all__ = ["QueryRows"]
