"""Accounts as an operator sees them: listed with their secrets masked, added, removed, and checked."""
