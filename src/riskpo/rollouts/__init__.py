"""Logged rollouts: reading them, and simulated ones to try things on."""
