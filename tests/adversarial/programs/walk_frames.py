# Looks for anything of the caller's in its own interpreter: frames, objects, command line, descriptors.
# status: exited
# prints: [] [] []
# ruff: noqa
import gc, os, sys

names = set()
frame = sys._getframe()
while frame:
    names |= {name for name in (*frame.f_locals, *frame.f_globals) if not name.startswith("__")}
    frame = frame.f_back
descriptors = []
for number in range(3, 4096):
    try:
        os.fstat(number)
        descriptors.append(number)
    except OSError:
        pass
kept = [each for each in gc.get_objects() if isinstance(each, (bytes, bytearray, memoryview))]
print(sorted(names - {"gc", "os", "sys", "names", "frame", "descriptors", "number"}), descriptors, kept)
