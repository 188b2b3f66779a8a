"""The file tree of an image, as comparable facts: from a tar, and from an unpacked folder."""
import hashlib
import os
import stat
import tarfile

CAPABILITY = "security.capability"


def from_tar(path):
    """{path: facts} of a flat root file system tar."""
    facts = {}
    links = {}
    with tarfile.open(path, errors="surrogateescape") as archive:
        for entry in archive:
            name = entry.name.removeprefix("./").strip("/")
            if name in ("", "."):
                continue
            if entry.islnk():
                links[name] = entry.linkname.removeprefix("./").strip("/")
                continue
            fact = {"type": tar_type(entry), "mode": entry.mode & 0o7777, "owner": (entry.uid, entry.gid),
                    "mtime": nanoseconds(entry)}
            if entry.isfile():
                fact["content"] = digest(archive.extractfile(entry))
            elif entry.issym():
                fact["target"] = entry.linkname
            elif entry.ischr() or entry.isblk():
                fact["device"] = (entry.devmajor, entry.devminor)
            capability = entry.pax_headers.get(f"SCHILY.xattr.{CAPABILITY}")
            if capability is not None:
                fact["capability"] = capability.encode("utf-8", "surrogateescape").hex()
            facts[name] = fact
    groups = {}
    for name, target in links.items():
        while target in links:
            target = links[target]
        facts[name] = facts[target]
        groups.setdefault(target, {target}).add(name)
    return mark_links(facts, groups.values())


def from_folder(root):
    """{path: facts} of a folder that root unpacked."""
    facts = {}
    inodes = {}
    root = os.fsencode(root)
    for folder, folders, files in os.walk(root):
        for base in folders + files:
            path = os.path.join(folder, base)
            name = os.fsdecode(os.path.relpath(path, root))
            status = os.lstat(path)
            fact = {"type": stat_type(status.st_mode), "mode": stat.S_IMODE(status.st_mode),
                    "owner": (status.st_uid, status.st_gid), "mtime": status.st_mtime_ns}
            if stat.S_ISREG(status.st_mode):
                with open(path, "rb") as file:
                    fact["content"] = digest(file)
                if CAPABILITY in os.listxattr(path):
                    fact["capability"] = os.getxattr(path, CAPABILITY).hex()
            elif stat.S_ISLNK(status.st_mode):
                fact["target"] = os.fsdecode(os.readlink(path))
                fact["mode"] = 0o777
            elif stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
                fact["device"] = (os.major(status.st_rdev), os.minor(status.st_rdev))
            facts[name] = fact
            if status.st_nlink > 1 and not stat.S_ISDIR(status.st_mode):
                inodes.setdefault(status.st_ino, set()).add(name)
    return mark_links(facts, inodes.values())


def differences(left, right, left_name, right_name):
    """One line for each entry that is not the same in both, sorted by path."""
    lines = []
    for path in sorted(left.keys() | right.keys()):
        if path not in left:
            lines.append(f"{path}: only in {right_name}")
        elif path not in right:
            lines.append(f"{path}: only in {left_name}")
        else:
            for what in sorted(left[path].keys() | right[path].keys()):
                one, other = left[path].get(what), right[path].get(what)
                if one != other:
                    lines.append(f"{path}: {what} {one} in {left_name}, {other} in {right_name}")
    return lines


def mark_links(facts, groups):
    """Every member of a group of hard links names the whole group."""
    for group in groups:
        if len(group) > 1:
            for name in group:
                facts[name] = {**facts[name], "linked": sorted(group)}
    return facts


def nanoseconds(entry):
    text = entry.pax_headers.get("mtime")
    if text is None:
        return int(entry.mtime) * 10**9
    seconds, _, fraction = text.partition(".")
    part = int(fraction.ljust(9, "0")[:9]) if fraction else 0
    return int(seconds) * 10**9 + (-part if seconds.startswith("-") else part)


def digest(file):
    return hashlib.file_digest(file, "sha256").hexdigest()


def tar_type(entry):
    for kind, holds in (("dir", entry.isdir()), ("symlink", entry.issym()), ("char", entry.ischr()),
                        ("block", entry.isblk()), ("fifo", entry.isfifo()), ("file", entry.isfile())):
        if holds:
            return kind
    return f"tar type {entry.type!r}"


def stat_type(mode):
    for kind, holds in (("dir", stat.S_ISDIR), ("symlink", stat.S_ISLNK), ("char", stat.S_ISCHR),
                        ("block", stat.S_ISBLK), ("fifo", stat.S_ISFIFO), ("file", stat.S_ISREG)):
        if holds(mode):
            return kind
    return "socket"
