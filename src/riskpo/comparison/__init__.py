"""Estimators compared: a grid of runs, its learning rates, and what may be concluded from it."""
