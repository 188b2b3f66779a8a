//! A user to whom no ranges of ids are lent: everything belongs to one id, and nobody notices.

use std::process::{Command, Stdio};

use crate::support::{Outcome, Sandbox};

/// Everything that has an owner, made in every way in which something gets one.
const OWNED: &str = "\
FROM busybox AS first
COPY --chown=1000:70000 tree /tree
ADD --chown=mail tree/file /added
RUN mkfifo /pipe && ln -s tree /link && chown -h 5:6 /link /pipe && chown -R 7 /tree/dir && chown :8 /added
RUN touch /set && chown 9:9 /set && chmod 6755 /set && mv /link /moved && chown 0:0 /tree/file
USER 1000:1000
WORKDIR /home/me
RUN mkdir dir && echo text > dir/file && ln -s file dir/link && mkfifo dir/pipe && echo more >> dir/file
USER root
RUN su -s /bin/sh daemon -c 'echo text > /tmp/of-daemon' && mkdir /group && chown :33 /group && chmod 2777 /group
USER nobody
RUN touch /group/file && mkdir /group/dir
FROM busybox
COPY --from=first / /all
COPY --from=first --chown=3:4 /tree /home/me /given/
RUN cp -a /all/home /copied && rm -r /all/home
";

fn with_tree() -> Option<Sandbox> {
    let sandbox = Sandbox::with_containers()?;
    for file in ["tree/file", "tree/dir/below"] {
        sandbox.write(file, "content\n");
    }
    std::os::unix::fs::symlink("file", sandbox.work().join("tree/link")).expect("a link");
    Some(sandbox)
}

/// rbuild in a user namespace into which one id is mapped, with a store of its own.
fn alone(sandbox: &Sandbox, args: &[&str]) -> Outcome {
    let plain = sandbox.command(args);
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount"]).arg(plain.get_program()).args(plain.get_args());
    command.current_dir(sandbox.work()).env_clear().stdin(Stdio::null());
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.env("RBUILD_ROOT", sandbox.path("alone"));
    Outcome::of(command, args)
}

/// With busybox in that store; None, said aloud, where this machine allows no user namespaces.
fn with_busybox_alone() -> Option<Sandbox> {
    let sandbox = with_tree()?;
    let is_possible = Command::new("unshare").args(["-Urm", "true"]).status().is_ok_and(|s| s.success());
    if !is_possible {
        println!("SKIP a single id: no user namespaces on this machine");
        return None;
    }
    alone(&sandbox, &["load", "-i", crate::support::BUSYBOX]).succeeded();
    assert!(alone(&sandbox, &["info"]).succeeded().stdout.contains("single id"));
    Some(sandbox)
}

#[test]
fn the_image_is_the_one_of_others() {
    let Some(sandbox) = with_busybox_alone() else { return };
    sandbox.write("Dockerfile", OWNED);
    let output = "type=image,name=owned,rewrite-timestamp=true";
    let args = ["build", "--output", output, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "."];
    let id = ["inspect", "--format", "{{.Id}}", "owned"];
    sandbox.rbuild(&args).succeeded();
    let image = sandbox.rbuild(&id).succeeded().stdout;
    alone(&sandbox, &args).succeeded();
    alone(&sandbox, &id).succeeded().printing(&image);
    // What is saved is what the store says that it is.
    alone(&sandbox, &["fsck"]).succeeded();
    alone(&sandbox, &["save", "-o", "owned.tar", "owned"]).succeeded();
    let other = Sandbox::new();
    other.rbuild(&["load", "-i", &sandbox.path("owned.tar")]).succeeded();
    other.rbuild(&id).succeeded().printing(&image);
}

#[test]
fn programs_see_the_owners_and_users_that_they_set() {
    let Some(sandbox) = with_busybox_alone() else { return };
    let show = |user: &str, script: &str, want: &str| {
        let args = ["run", "--rm", "-u", user, "busybox", "sh", "-c", script];
        alone(&sandbox, &args).succeeded().printing(want);
        // Nobody can tell the difference.
        if !sandbox.rbuild(&["info"]).stdout.contains("single id") {
            sandbox.rbuild(&args).succeeded().printing(want);
        }
    };
    show("0", "touch a; chown 5:6 a; stat -c %u:%g a; chown :7 a; stat -c %u:%g a", "5:6\n5:7\n");
    show("0", "stat -c %u:%g /var/spool/mail; chmod 4755 /tmp; stat -c %a /tmp", "8:8\n4755\n");
    show("1234:5", "id -u; id -g; touch /tmp/a; stat -c %u:%g /tmp/a", "1234\n5\n1234:5\n");
    show(
        "1234",
        "cd /tmp; touch a; chown 7 a 2>&1; chown 1234 a && echo mine",
        "chown: a: Operation not permitted\nmine\n",
    );
    show(
        "mail",
        "su -s /bin/sh -c id daemon 2>&1 | tail -n 1; id -un",
        "su: must be suid to work properly\nmail\n",
    );
    show(
        "0",
        "su -s /bin/sh -c 'id -u; umask 077; mkdir /tmp/d; stat -c %u:%a /tmp/d' daemon; id -u",
        "1\n1:700\n0\n",
    );
    // Another root directory, and a link that leads through it.
    let chroot = "mkdir -p r/bin r/d; cp /bin/busybox r/bin/chown; touch r/d/f; ln -s /d r/l; \
                  chroot r /bin/chown 5 /l/f; stat -c %u r/d/f";
    show("0", chroot, "5\n");
    show(
        "0",
        "touch a; chown 5 a; chown 0 a; stat -c %u a; chown 5 missing 2>&1 || true",
        "0\nchown: missing: No such file or directory\n",
    );
}
