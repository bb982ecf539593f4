"""A run from the command line: its arguments, its folder, and what happens between start and summary."""
