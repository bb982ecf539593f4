# Threads in moderate number are nobody's enemy.
# status: exited
# prints: True
# ruff: noqa
import threading

done = []
threads = [threading.Thread(target=done.append, args=(number,)) for number in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(sorted(done) == list(range(20)))
