"""The journal of a flow: what happened to each record, found by its External ID."""
