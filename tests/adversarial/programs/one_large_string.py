# Asks for more than the machine has at once.
# status: memory
# ruff: noqa
print(len("x" * 10**13))
