# Opens files without closing them.
# status: exited
# prints: True
# ruff: noqa
kept = []
try:
    while True:
        kept.append(open("/dev/null"))
except OSError:
    print(len(kept) <= 64)
    kept.clear()
