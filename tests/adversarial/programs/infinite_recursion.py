# Calls itself without end.
# status: runtime_error
# ruff: noqa
def f():
    return f()


f()
