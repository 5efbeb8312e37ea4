"""The command line: thin commands over documented functions."""
