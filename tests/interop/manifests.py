"""Manifests that rbuild only passes on keep their digest, and lists that it puts together are docker's."""
import hashlib
import json
import os

from engine import command
from platforms import BOTH, FILES, folder_of
from report import equal

COPY = ["skopeo", "copy", "--quiet", "--insecure-policy", "--src-tls-verify=false", "--dest-tls-verify=false"]


def raw(name):
    """What a registry has under a name, and its digest."""
    text = command(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{name}"])
    return text, "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def passed_on(report, address, docker, rbuild_from, work):
    """What docker and skopeo pushed comes out of rbuild byte for byte."""
    sources = {"docker": f"{address}/from-docker:test"}
    for form in ("oci", "v2s2"):
        sources[f"skopeo {form}"] = f"{address}/as-{form}:test"
        report.check(f"manifests: skopeo copy --format {form}", command,
                     [*COPY, "--format", form, f"docker://{sources['docker']}", f"docker://{sources[f'skopeo {form}']}"])
    store = rbuild_from(os.path.join(work, "store-manifests"))

    def through(name, copy):
        store("pull", "-q", name)
        store("tag", name, copy)
        store("push", "-q", copy)
        equal("the digest", raw(name)[1], raw(copy)[1])
        docker("pull", "-q", f"{copy.rsplit(':', 1)[0]}@{raw(name)[1]}")

    for label, name in sources.items():
        copy = f"{address}/copy-of-{label.replace(' ', '-')}:test"
        report.check(f"manifests: through rbuild as {label} pushed it", through, name, copy)

    def layout():
        folder, archive, back = (os.path.join(work, f"manifests-{part}") for part in ("in", "out.tar", "back"))
        command([*COPY, f"docker://{sources['docker']}", f"oci:{folder}:example.com/layout:test"])
        fresh = rbuild_from(os.path.join(work, "store-layout"))
        fresh("load", "-i", folder)
        fresh("save", "--format", "oci", "-o", archive, "example.com/layout:test")
        command([*COPY, f"oci-archive:{archive}", f"dir:{back}"])
        with open(os.path.join(folder, "index.json")) as file:
            wanted = json.load(file)["manifests"][0]["digest"]
        with open(os.path.join(back, "manifest.json"), "rb") as file:
            equal("the digest", wanted, "sha256:" + hashlib.sha256(file.read()).hexdigest())

    report.check("manifests: an OCI layout through rbuild", layout)


def lists(report, address, rbuild, docker, work):
    """The same list from the same images, put together by both."""
    folder = folder_of(work, "lists", {"Dockerfile": FILES.encode(), "amd64": b"a", "arm64": b"b"})
    parts = [f"{address}/part:{platform.split('/')[1]}" for platform in BOTH]
    ours, theirs = f"{address}/list:rbuild", f"{address}/list:docker"

    def make():
        for platform, part in zip(BOTH, parts):
            rbuild("build", "--platform", platform, "-t", part, "--push", folder)

    def create(program, name, *insecure):
        program("manifest", "create", *insecure, name, *parts)
        program("manifest", "annotate", "--variant", "v8", name, parts[1])
        said = program("manifest", "push", "--purge", *insecure, name)
        equal("the digest that was printed", raw(name)[1], said.split()[-1])

    def compared():
        ours_read, theirs_read = (json.loads(raw(name)[0]) for name in (ours, theirs))
        equal("the list", theirs_read, ours_read)

    def pulled(platform, part):
        docker("pull", "-q", "--platform", platform, ours)
        equal("the image ID", rbuild.image_id(part), docker.image_id(ours))

    report.check("lists: rbuild build --push", make)
    report.check("lists: rbuild manifest create, annotate, push", create, rbuild, ours)
    report.check("lists: docker manifest create, annotate, push", create, docker, theirs, "--insecure")
    report.check("lists: the same", compared)
    for platform, part in zip(BOTH, parts):
        report.check(f"lists: docker pull {platform}", pulled, platform, part)
