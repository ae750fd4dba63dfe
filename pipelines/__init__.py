"""The application: the command line, and running flows in one process or many."""
