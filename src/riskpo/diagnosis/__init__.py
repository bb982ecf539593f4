"""What is wrong with a set-up, a configuration, data, a reward or a run, and what to change."""
