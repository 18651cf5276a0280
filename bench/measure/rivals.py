"""Whole rivals, from their languages' registries by the ordinary clients; what cannot be had is left out, with the
reason."""
import os
import re
import shutil
import subprocess

# name: (programs, version, how to install it into a folder: a crate, or Go programs)
RIVALS = {
    "rathole": (["rathole"], "0.5.0", "rathole"),
    "bore": (["bore"], "0.5.2", "bore-cli"),
    "wstunnel": (["wstunnel"], "10.5.1", "wstunnel"),
    "chisel": (["chisel"], "v1.10.1", ["github.com/jpillora/chisel"]),
    "frp": (["frps", "frpc"], "v0.61.0", ["github.com/fatedier/frp/cmd/frps", "github.com/fatedier/frp/cmd/frpc"]),
}
# what Debian has: name: (program, package)
PACKAGES = {
    "haproxy": ("/usr/sbin/haproxy", "haproxy"), "nginx": ("/usr/lib/nginx/modules/ngx_stream_module.so", "nginx"),
    "socat": ("/usr/bin/socat", "socat"), "ssh": ("/usr/sbin/sshd", "openssh-server"),
}


class Rivals:
    """Where they are, and why those are not that are not."""

    def __init__(self, folder):
        self.folder = folder
        self.missing = {}

    def path(self, program):
        """A rival's program."""
        return os.path.join(self.folder, "bin", program)

    def need(self, name):
        """Installs what a rig of this name needs; '' or why it cannot be had."""
        name = name.partition("-")[0].rstrip("2")
        if name in self.missing:
            return self.missing[name]
        reason = ""
        if name in PACKAGES:
            file, package = PACKAGES[name]
            reason = "" if os.path.exists(file) else "no %s here" % package
        elif name in RIVALS:
            reason = self._install(name)
        if reason:
            self.missing[name] = reason
        return reason

    def _install(self, name):
        programs, version, how = RIVALS[name]
        if all(os.access(self.path(program), os.X_OK) for program in programs):
            return ""
        os.makedirs(self.folder, exist_ok=True)
        refusal = os.path.join(self.folder, name + ".refused")
        if os.path.exists(refusal):  # once is enough; removing the file asks again
            with open(refusal, encoding="utf-8") as file:
                return file.read()
        environment = dict(os.environ, GOBIN=os.path.join(self.folder, "bin"), GOFLAGS="-buildvcs=false")
        if isinstance(how, str):
            commands = [["cargo", "install", "--root", self.folder, "%s@%s" % (how, version)]]
        else:
            commands = [["go", "install", "%s@%s" % (module, version)] for module in how]
        for argv in commands:
            if not shutil.which(argv[0]):
                return "no %s to build it with" % argv[0]
            print("installing: " + " ".join(argv), flush=True)
            done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
                last = re.sub(r"^error: |^server response: ", "", lines[-1] if lines else "no reason given")
                reason = "`%s %s`: %s" % (" ".join(argv[:2]), argv[-1], last[:200])
                with open(refusal, "w", encoding="utf-8") as file:
                    file.write(reason)
                return reason
        return ""

    def versions(self):
        """Of those that are here."""
        return {name: version for name, (programs, version, _) in RIVALS.items()
                if all(os.access(self.path(program), os.X_OK) for program in programs)}
