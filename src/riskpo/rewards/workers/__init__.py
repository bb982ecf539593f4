"""The processes of a pool of workers."""
