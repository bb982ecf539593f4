"""Mathematical answers: read, compared exactly where they are numbers, symbolically where they are not."""
