# A million brackets for the compiler.
# status: runtime_error memory
# ruff: noqa
compile("(" * 10**6, "x", "eval")
