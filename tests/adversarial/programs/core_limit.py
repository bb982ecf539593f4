# Lowers the limit on core dumps to none, for which some machines start a program as root.
# status: exited
# prints: []
# ruff: noqa
import os, resource

lowered = []
for limits in ((0, 0), (0, 1), (1, 1)):
    try:
        resource.setrlimit(resource.RLIMIT_CORE, limits)
        lowered.append(limits)
    except (OSError, ValueError):
        pass
    try:
        resource.prlimit(0, resource.RLIMIT_CORE, limits)
        lowered.append(limits)
    except (OSError, ValueError):
        pass
print(lowered)
