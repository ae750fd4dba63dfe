"""The demonstration: an example flow on an embedded queue."""
