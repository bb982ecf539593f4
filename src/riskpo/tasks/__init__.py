"""Tasks: prompts, answers and the reward that checks them. A built-in task is one short file."""
