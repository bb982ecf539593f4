"""What one looks at after a run: figures and tables."""
