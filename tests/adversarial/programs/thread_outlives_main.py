# A thread that is no daemon keeps the process alive.
# status: timeout
# limits: wall_seconds=0.7
# ruff: noqa
import threading, time

threading.Thread(target=time.sleep, args=(10**6,)).start()
