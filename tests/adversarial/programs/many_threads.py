# Starts threads without end.
# status: runtime_error
# ruff: noqa
import threading, time

for _ in range(200):
    threading.Thread(target=time.sleep, args=(10**6,), daemon=True).start()
print("200 threads")
