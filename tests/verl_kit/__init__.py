"""verl's V1 trainer on a machine without GPU: a CPU platform, engine and rollout backend, and a tiny run."""
