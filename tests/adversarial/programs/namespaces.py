# Makes or enters namespaces, mounts, and changes its root.
# status: exited
# prints: []
# ruff: noqa
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)
done = []


def attempt(name, result):
    if result != -1:
        done.append(name)


for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000, 0x80):
    attempt(f"unshare {flag:x}", libc.unshare(flag))
    attempt(f"setns {flag:x}", libc.setns(0, flag))
attempt("chroot", libc.chroot(b"/box"))
attempt("mount proc", libc.mount(b"proc", b"/box", b"proc", 0, None))
attempt("mount tmpfs", libc.mount(b"tmpfs", b"/box", b"tmpfs", 0, None))
attempt("remount", libc.mount(None, b"/", None, 32, None))
attempt("umount", libc.umount2(b"/usr/lib", 2))
attempt("pivot_root", libc.syscall(155 if os.uname().machine == "x86_64" else 41, b"/box", b"/box"))
attempt("open_tree", libc.syscall(428, -100, b"/usr/lib", 1))
attempt("fsopen", libc.syscall(430, b"tmpfs", 0))
print(done)
