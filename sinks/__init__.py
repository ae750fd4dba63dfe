"""Actions: one module for each system that records can go to."""
