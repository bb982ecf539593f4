# Changes the interpreter for the next program.
# status: exited
# prints: []
# ruff: noqa
import os, shutil

changed = []
for path in (os.__file__, shutil.__file__):
    for change in (
        lambda: os.chmod(path, 0o777),
        lambda: os.rename(path, path + "x"),
        lambda: os.unlink(path),
        lambda: os.utime(path),
        lambda: os.symlink("x", path + "l"),
    ):
        try:
            change()
            changed.append(path)
        except OSError:
            pass
print(changed)
