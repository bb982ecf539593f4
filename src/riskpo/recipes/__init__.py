"""Packaged recipes: YAML files, run by name with `riskpo train NAME`."""
