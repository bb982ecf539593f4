"""Programs in completions, and the tests that they are judged by."""
