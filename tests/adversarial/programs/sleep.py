# Waits for ever and uses no processor time.
# status: timeout
# limits: wall_seconds=0.7
# ruff: noqa
import time

time.sleep(10**6)
