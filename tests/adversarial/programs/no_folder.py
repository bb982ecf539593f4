# With no room for files it cannot write at all.
# status: exited
# limits: file_mb=0
# prints: refused
# ruff: noqa
try:
    open("x", "w").close()
    print("wrote")
except OSError:
    print("refused")
