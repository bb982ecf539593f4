# Lifts its own limits.
# status: exited
# prints: []
# ruff: noqa
import resource

raised = []
for name in dir(resource):
    if name.startswith("RLIMIT_"):
        limit = getattr(resource, name)
        try:
            hard = resource.getrlimit(limit)[1]
        except (OSError, ValueError):
            continue
        for wanted in (hard + 1, resource.RLIM_INFINITY):
            if hard != resource.RLIM_INFINITY:
                try:
                    resource.setrlimit(limit, (wanted, wanted))
                    raised.append(name)
                except (OSError, ValueError):
                    pass
print(raised)
