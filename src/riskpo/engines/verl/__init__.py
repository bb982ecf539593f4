"""The verl engine (verl >= 0.9.1, trainer V1): a plugin, no fork. `trainer.py` alone touches verl's own names."""
