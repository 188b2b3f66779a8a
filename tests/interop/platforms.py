"""Images for several platforms through a registry, and images for docker without the layers that it has."""
import json
import os

from engine import Failure, command
from report import equal

# No program of any platform is needed.
FILES = "FROM scratch\nARG TARGETARCH\nCOPY $TARGETARCH /arch\nCMD [\"/none\"]\n"
BOTH = ["linux/amd64", "linux/arm64"]
LAYER = 4 << 20


def folder_of(work, name, files):
    folder = os.path.join(work, name)
    os.makedirs(folder, exist_ok=True)
    for path, content in files.items():
        with open(os.path.join(folder, path), "wb") as file:
            file.write(content)
    return folder


def through_registry(report, address, rbuild, docker, work):
    """An index: what rbuild pushes, docker and skopeo take apart."""
    folder = folder_of(work, "platforms", {"Dockerfile": FILES.encode(), "amd64": b"a", "arm64": b"b"})
    name = f"{address}/platforms:test"
    build = ["build", "--platform", ",".join(BOTH), "-t", name, "--push", folder]
    if report.check("platforms: rbuild build --push", rbuild, *build) is None:
        return

    def listed():
        index = json.loads(command(["skopeo", "inspect", "--tls-verify=false", "--raw", f"docker://{name}"]))
        parts = [entry["platform"] for entry in index["manifests"]]
        equal("the platforms", BOTH, [f"{part['os']}/{part['architecture']}" for part in parts])

    def copied():
        layout = os.path.join(work, "platforms-oci")
        command(["skopeo", "copy", "--quiet", "--insecure-policy", "--all", "--src-tls-verify=false",
                 f"docker://{name}", f"oci:{layout}:test"])

    def pulled(platform):
        docker("pull", "-q", "--platform", platform, name)
        wanted = json.loads(rbuild("inspect", "--platform", platform, name))[0]["Id"]
        equal("the image ID", wanted, docker.image_id(name))

    report.check("platforms: skopeo inspect --raw", listed)
    report.check("platforms: skopeo copy --all", copied)
    for platform in BOTH:
        report.check(f"platforms: docker pull {platform}", pulled, platform)


def handed_over(report, rbuild, docker, work):
    """A second image on the same layers costs what is new in it."""
    files = {"Dockerfile": b"FROM scratch\nCOPY big /\nCOPY small /\n", "big": os.urandom(LAYER), "small": b"1"}
    first, second = "interop/thin:1", "interop/thin:2"

    def build(tag):
        rbuild("build", "-t", tag, "-o", "type=docker-load", folder_of(work, "thin", files))
        equal("the image ID", rbuild.image_id(tag), docker.image_id(tag))

    def thin():
        archives = [os.path.join(work, f"{kind}.tar") for kind in ("thin", "whole")]
        rbuild("save", "--thin", "-o", archives[0], second)
        rbuild("save", "-o", archives[1], second)
        small, whole = map(os.path.getsize, archives)
        if small > 100_000 or whole < LAYER:
            raise Failure(f"{small} bytes in place of {whole}")
        docker.load(archives[0])
        equal("the image ID", rbuild.image_id(second), docker.image_id(second))
        return f"{small} bytes in place of {whole}"

    if report.check("thin: rbuild hands an image to docker", build, first):
        files["small"] = b"2"
        report.check("thin: rbuild build", rbuild, "build", "-t", second, folder_of(work, "thin", files))
        report.check("thin: docker load of what is new", thin)
    files["small"] = b"3"
    report.check("thin: rbuild hands over what is new", build, "interop/thin:3")
