"""Rewards: texts in, scores out. No module here imports torch or a training engine."""
