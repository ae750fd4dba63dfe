"""Files of this machine: rows of new files, and lines of files that grow."""

from sources.files.trigger import NewFiles

__all__ = ["NewFiles"]
