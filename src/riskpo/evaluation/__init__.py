"""What a model can do, with intervals: sampling, pass@k, intervals over questions, comparisons."""
