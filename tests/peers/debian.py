"""A small Debian root file system, made here from Debian's packages.

It trusts what this machine trusts: certificates below /usr/local/share/ca-certificates are copied to the same
place, where the package ca-certificates finds them when a Dockerfile installs it. That is all that a machine
behind an inspecting proxy needs; elsewhere the folder is empty.
"""
import os

from engine import Failure, command

SUITE = "bookworm"
NAME = f"debian:{SUITE}"
LOCAL_CERTIFICATES = "/usr/local/share/ca-certificates"
# What Debian's own slim images leave out, and how they tune the package tools.
LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")
TUNING = ("--dpkgopt=force-unsafe-io", '--aptopt=Acquire::Languages "none"')


def rootfs(folder):
    """The path of the tar, made by mmdebstrap when `folder` does not have it yet (20 s). RBUILD_DEBIAN_MIRROR names
    another mirror than Debian's."""
    path = os.path.join(folder, f"debian-{SUITE}.tar")
    if os.path.exists(path):
        return path
    if os.geteuid() != 0:
        raise Failure("mmdebstrap needs root to make device nodes and owners")
    os.makedirs(folder, exist_ok=True)
    hooks = ["rm -f $1/etc/resolv.conf $1/etc/hostname"]
    if certificates():
        hooks += [f"mkdir -p $1{LOCAL_CERTIFICATES}", f"cp {LOCAL_CERTIFICATES}/*.crt $1{LOCAL_CERTIFICATES}/"]
    partial = path + ".partial"
    command(["mmdebstrap", "--quiet", "--mode=root", "--variant=minbase", "--format=tar",
             *(f"--dpkgopt=path-exclude={pattern}" for pattern in LEFT_OUT),
             *TUNING,
             *(f"--customize-hook={hook}" for hook in hooks),
             SUITE, partial, *filter(None, [os.environ.get("RBUILD_DEBIAN_MIRROR")])],
            # One instant for everything that is made here, so that the same packages give the same tar.
            env={"SOURCE_DATE_EPOCH": "1700000000", "TMPDIR": folder})
    os.rename(partial, path)
    return path


def certificates():
    try:
        return sorted(name for name in os.listdir(LOCAL_CERTIFICATES) if name.endswith(".crt"))
    except FileNotFoundError:
        return []
