"""Every trigger and every sink, held to the same cases on real systems."""
