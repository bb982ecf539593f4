"""The command line: thin, one file a verb, heavy imports inside the verbs."""
