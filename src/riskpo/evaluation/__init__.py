"""What a model can do, with intervals: sampling, pass@k, and bootstrap over questions."""
