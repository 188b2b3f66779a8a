"""Programs that build, keep and run images, behind one face.

`Engine` speaks docker's command line, which rbuild and podman share as far as it is used here. What a
program prints to standard error is kept and shown when it fails.
"""
import contextlib
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

# Proxies and indexes are the machine's business, not the Dockerfile's: they are handed in where they are set.
PASSED_ARGUMENTS = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL")


class Failure(Exception):
    """A command failed, or an answer was wrong. The text says which."""


def command(argv, env=None, input=None, timeout=900, check=True):
    """Runs `argv` to its end; its standard output as text."""
    full = {**os.environ, **(env or {})}
    try:
        done = subprocess.run(argv, env=full, input=input, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL if input is None else None,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    except FileNotFoundError:
        raise Failure(f"{argv[0]}: no such program") from None
    except subprocess.TimeoutExpired:
        raise Failure(f"{' '.join(argv)}: no end after {timeout} s") from None
    if check and done.returncode != 0:
        tail = "\n".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-20:])[-2000:]
        raise Failure(f"{' '.join(argv)}: exit {done.returncode}\n{tail}")
    return done.stdout


def end_on_term():
    """SIGTERM unwinds the stack, so that what a `with` or `finally` promises to remove is removed."""
    def leave(number, frame):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise SystemExit(128 + number)
    signal.signal(signal.SIGTERM, leave)


class Engine:
    """One program, with where it keeps its things."""

    def __init__(self, name, argv, env=None, run_options=()):
        self.name = name
        self.argv = list(argv)
        self.env = env or {}
        self.run_options = list(run_options)

    def __call__(self, *arguments, **options):
        return command([*self.argv, *map(str, arguments)], env=self.env, **options)

    def build(self, folder, tag):
        """Builds `folder`'s Dockerfile as `tag`; the image ID."""
        with tempfile.TemporaryDirectory() as scratch:
            iid = os.path.join(scratch, "iid")
            self.build_with(folder, "-t", tag, "--iidfile", iid)
            with open(iid) as file:
                return full_id(file.read().strip())

    def build_with(self, folder, *options):
        """Builds `folder`'s Dockerfile with the host's network."""
        arguments = [f"--build-arg={name}={os.environ[name]}" for name in PASSED_ARGUMENTS if os.environ.get(name)]
        self("build", "--network", "host", *arguments, *options, folder)

    def image_id(self, image):
        return full_id(json.loads(self("inspect", image))[0]["Id"])

    def load(self, archive):
        self("load", "-i", archive)

    def save(self, image, archive, *options):
        with contextlib.suppress(FileNotFoundError):
            os.remove(archive)
        self("save", *options, "-o", archive, image)

    def run(self, image, *arguments, input=None):
        """What the image's program prints, with `arguments` in place of its CMD."""
        interactive = ["-i"] if input is not None else []
        return self("run", "--rm", "--network", "host", *self.run_options, *interactive, image, *arguments,
                    input=input, timeout=60)

    @contextlib.contextmanager
    def serving(self, image):
        """Runs a web image for the length of the `with`; the address that it listens at on loopback. It must end
        by itself on SIGTERM."""
        port = free_port()
        argv = [*self.argv, "run", "--rm", "--network", "host", *self.run_options, "-e", f"PORT={port}", image]
        with tempfile.TemporaryFile("w+") as log:
            process = subprocess.Popen(argv, env={**os.environ, **self.env}, stdin=subprocess.DEVNULL,
                                       stdout=log, stderr=log)
            try:
                wait_for_port(process, port, log)
                yield f"http://127.0.0.1:{port}"
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                raise Failure(f"{self.name} run {image}: still there 15 s after SIGTERM") from None
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()


def full_id(text):
    """Podman leaves the algorithm out."""
    return text if text.startswith("sha256:") else f"sha256:{text}"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(process, port, log, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            log.seek(0)
            raise Failure(f"{' '.join(process.args)}: exit {process.returncode}\n{log.read()[-2000:]}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    log.seek(0)
    raise Failure(f"{' '.join(process.args)}: nothing listens after {seconds} s\n{log.read()[-2000:]}")


def fetch(address, data=None):
    """The body at `address`. Proxies of the environment are not for loopback."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(address, data=data, timeout=20) as answer:
        return answer.read().decode()


def rbuild(store):
    """The rbuild that RBUILD names, with a store of its own."""
    program = os.environ.get("RBUILD")
    if not program:
        raise SystemExit("RBUILD is not set: the path of the rbuild binary to test")
    return Engine("rbuild", [os.path.abspath(program) if os.sep in program else program], {"RBUILD_ROOT": store})


def docker():
    """The docker of DOCKER_HOST, as peers/with-dockerd sets it."""
    return Engine("docker", [os.environ.get("DOCKER", "docker")])
