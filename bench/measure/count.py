"""Instructions of bench/work.c, counted by callgrind: the same on any processor.

The program is built with flags of its own, and without the library's memory functions, of which the processor chooses one.
"""
import glob
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
FLAGS = ["-std=c11", "-O2", "-g0", "-fno-lto", "-fcf-protection=none", "-fno-stack-protector", "-I."]
BYTES = ["-fno-builtin", "-fno-tree-loop-distribute-patterns", "-fno-tree-vectorize"]
WRAP = ["-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc"]
RUN_S = 300


def versions():
    """What the counts depend on: {name: version}."""
    said = {"machine": platform.machine()}
    for name, command in (("compiler", ["gcc", "--version"]), ("valgrind", ["valgrind", "--version"])):
        if not shutil.which(command[0]):
            said[name] = "missing"
            continue
        said[name] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    return said


class Counter:
    """Builds the program in a private folder; use it in a with statement."""

    allocations = 0

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="oc")
        self.work = os.path.join(self.folder.name, "work")
        core = sorted(os.path.relpath(path, ROOT) for path in glob.glob(os.path.join(ROOT, "core/*.c")))
        spare = os.path.join(self.folder.name, "bytes.o")
        for command in (["gcc", *FLAGS, *BYTES, "-c", "bench/bytes.c", "-o", spare],
                        ["gcc", *FLAGS, "-o", self.work, "bench/work.c", spare, *core, *WRAP]):
            subprocess.run(command, cwd=ROOT, check=True)
        return self

    def __exit__(self, *_):
        self.folder.cleanup()

    def count(self, name, size, count):
        """Instructions of measured() and what it calls; what that allocated is added to self.allocations."""
        out = os.path.join(self.folder.name, "callgrind.out")
        done = subprocess.run(["valgrind", "-q", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured",
                               "--callgrind-out-file=" + out, self.work, name, str(size), str(count)],
                              check=True, stdout=subprocess.PIPE, text=True, timeout=RUN_S)
        self.allocations += json.loads(done.stdout)["allocations"]
        with open(out, encoding="ascii") as file:
            return int(re.search(r"^(?:totals|summary): (\d+)", file.read(), re.M).group(1))
