"""verl's configuration with riskpo's trainer, for Hydra."""
