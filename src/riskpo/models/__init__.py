"""Models that need no hub: the built-in task's base model, and a real small one from a package."""
