# Reads what is none of its business.
# status: exited
# prints: []
# ruff: noqa
import glob, json, os

told = json.loads(input())
for path in (
    told["secret"],
    "/etc/shadow",
    "/etc/passwd",
    "/proc/1/environ",
    "/proc/self/environ",
    "/proc/self/maps",
    "/proc/1/root" + told["secret"],
    "/proc/self/cwd/.." + told["secret"],
    "/sys/kernel/notes",
    "/dev/mem",
    "/dev/kmsg",
    "/dev/tty",
    "/root/.bashrc",
    "/run/secrets/x",
    "/box/.." + told["secret"],
):
    try:
        with open(path, "rb") as file:
            print(path, file.read(100))
    except OSError:
        pass
for folder in (
    "/home",
    "/root",
    "/etc",
    "/proc",
    "/sys",
    "/tmp",
    "/run",
    "/var",
    "/mnt",
    "/opt",
    "/oldroot",
    "/newroot",
):
    try:
        print(folder, os.listdir(folder))
    except OSError:
        pass
print(sorted(set(os.listdir("/")) - {"box", "dev", "lib", "lib64", "python", "usr"}))
