# Answers, and then spins in a destructor while the interpreter shuts down.
# status: timeout
# limits: wall_seconds=0.7
# prints: 42
# ruff: noqa
class Spin:
    def __del__(self):
        while True:
            pass


kept = Spin()
print("42", flush=True)
