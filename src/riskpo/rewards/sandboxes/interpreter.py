"""The Python interpreter for programs in a sandbox: where its parts lie, and where they appear inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from riskpo.errors import SandboxError

HOME = "/python"  # its place inside: a fixed one, since its own may lie in a home that others may not enter
_ASK = """
import json, os, sys, sysconfig
print(json.dumps([os.path.realpath(sys.executable), sys.base_prefix, sysconfig.get_path("stdlib"), sys.platlibdir,
                  sys.version.split()[0]]))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """An interpreter on this machine.

    Args:
        executable: the real file, no link and no wrapper.
        prefix: below which its library lies.
        stdlib: its standard library.
        platlibdir: `lib`, or what the system calls its folder of libraries.
        version: e.g. `3.11.7`.
    """

    executable: str
    prefix: str
    stdlib: str
    platlibdir: str
    version: str

    @property
    def inside(self) -> str:
        """The executable's path inside."""
        return f"{HOME}/bin/{Path(self.executable).name}"

    def mounts(self) -> list[str]:
        """Options of bubblewrap: its executable and library, and the system's shared libraries; read-only.

        No `/usr/bin`: programs find no shell and no tools. No `/etc`, no `/proc`, no home.
        """
        options = ["--perms", "0755", "--dir", HOME, "--perms", "0755", "--dir", f"{HOME}/bin"]
        options += ["--ro-bind", self.executable, self.inside]
        if self.prefix == "/usr":
            options += ["--ro-bind", self.stdlib, f"{HOME}/{os.path.relpath(self.stdlib, self.prefix)}"]
        else:
            for name in sorted({"lib", self.platlibdir}):
                options += ["--ro-bind-try", f"{self.prefix}/{name}", f"{HOME}/{name}"]
            # Where its executable was linked against its own library by an absolute path.
            options += ["--setenv", "LD_LIBRARY_PATH", f"{HOME}/lib"]
        options += ["--perms", "0755", "--dir", "/usr"]
        for folder in ("/usr/lib", "/usr/lib64"):
            options += ["--ro-bind-try", folder, folder]
        for link in ("/lib", "/lib64"):
            if os.path.islink(link):
                options += ["--symlink", os.readlink(link), link]
            elif os.path.isdir(link):
                options += ["--ro-bind", link, link]
        return options


def find_interpreter(python: str | None = None) -> Interpreter:
    """Where the parts of an interpreter lie (default: of the one that runs this), by asking it.

    Raises:
        SandboxError: it does not run.
    """
    python = python or sys.executable
    try:
        done = subprocess.run([python, "-I", "-S", "-c", _ASK], capture_output=True, text=True, timeout=60, check=True)
        return Interpreter(*json.loads(done.stdout))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError) as error:
        raise SandboxError(f"the interpreter {python!r} does not run: {error}") from error
