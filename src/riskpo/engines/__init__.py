"""Training engines: thin adapters between an engine's batches and the pure estimator in `riskpo.risk`."""
