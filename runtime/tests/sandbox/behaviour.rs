//! What a program sees and what it leaves behind.

use std::os::unix::fs::MetadataExt;

use rbuild_runtime::rootless;
use rbuild_runtime::sandbox::{Exit, Init, MountSource, Network, Privilege, Spec};

use super::Test;
use super::support::{Rootfs, mount};

pub(crate) const TESTS: &[Test] = &[
    ("devices", devices),
    ("environment_and_home", environment_and_home),
    ("capabilities", capabilities),
    ("protected_paths", protected_paths),
    ("namespaces", namespaces),
    ("no_network", no_network),
    ("users", users),
    ("stubs_are_removed", stubs_are_removed),
    ("used_stubs_stay", used_stubs_stay),
    ("mounts", mounts),
    ("discarded_changes", discarded_changes),
    ("workdir", workdir),
    ("exit_statuses", exit_statuses),
    ("background_processes_end", background_processes_end),
    ("signals_reach_the_program", signals_reach_the_program),
    ("signal_state_is_fresh", signal_state_is_fresh),
    ("filtered_calls", filtered_calls),
    ("insecure", insecure),
    ("readonly_rootfs", readonly_rootfs),
    ("many_layers", many_layers),
    ("reaper_is_closed", reaper_is_closed),
];

fn devices(rootfs: &Rootfs) {
    let script = "for d in null zero full random urandom tty; do stat -c '%n %a %t:%T' /dev/$d; done; \
        for l in fd stdin stdout stderr ptmx core; do echo $l $(readlink /dev/$l); done; \
        stat -c '%n %a' /dev/shm /dev/mqueue /dev/pts; echo x > /dev/null; head -c 3 /dev/zero | od -An -tx1; \
        echo err > /dev/stderr; echo shm > /dev/shm/x && cat /dev/shm/x";
    let expected = "/dev/null 666 1:3\n/dev/zero 666 1:5\n/dev/full 666 1:7\n/dev/random 666 1:8\n\
        /dev/urandom 666 1:9\n/dev/tty 666 5:0\nfd /proc/self/fd\nstdin /proc/self/fd/0\nstdout /proc/self/fd/1\n\
        stderr /proc/self/fd/2\nptmx pts/ptmx\ncore /proc/kcore\n/dev/shm 1777\n/dev/mqueue 1777\n/dev/pts 755\n \
        00 00 00\nerr\nshm\n";
    assert_eq!(rootfs.output_of(&rootfs.shell(script)), expected);
}

fn environment_and_home(rootfs: &Rootfs) {
    let env = |user: &str, variables: &[(&str, &str)]| {
        let mut spec = Spec { user: user.to_owned(), ..rootfs.spec(&["env"]) };
        spec.env.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        rootfs.output_of(&spec)
    };
    assert_eq!(env("", &[("K", "v w")]), "PATH=/usr/bin:/bin\nK=v w\nHOME=/root\n");
    assert_eq!(env("", &[("HOME", "/custom")]), "PATH=/usr/bin:/bin\nHOME=/custom\n");
    if rootless::probe().maps_many_ids() {
        assert_eq!(env("4321", &[]), "PATH=/usr/bin:/bin\nHOME=/\n");
    }
}

fn capabilities(rootfs: &Rootfs) {
    let script = "grep -E '^(Cap...|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\\t'";
    let lines = |values: [&str; 3], privileges: &str| {
        let [effective, bounding, filter] = values;
        format!(
            "CapInh:0000000000000000\nCapPrm:{effective}\nCapEff:{effective}\nCapBnd:{bounding}\n\
             CapAmb:0000000000000000\nNoNewPrivs:{privileges}\nSeccomp:{filter}\n"
        )
    };
    let default = "00000000a80425fb";
    assert_eq!(rootfs.output_of(&rootfs.shell(script)), lines([default, default, "2"], "0"));
    let direct = Spec { init: Init::Program, ..rootfs.shell(script) };
    assert_eq!(rootfs.output_of(&direct), lines([default, default, "2"], "0"));
    let privilege = Privilege::Default {
        add: vec!["SYS_PTRACE".to_owned()],
        drop: vec!["CAP_CHOWN".to_owned()],
        no_new_privileges: true,
    };
    let tweaked = "00000000a80c25fa";
    let spec = Spec { privilege, ..rootfs.shell(script) };
    assert_eq!(rootfs.output_of(&spec), lines([tweaked, tweaked, "2"], "1"));
    if rootless::probe().maps_many_ids() {
        let mail = Spec { user: "mail".to_owned(), ..rootfs.shell(script) };
        assert_eq!(rootfs.output_of(&mail), lines(["0000000000000000", default, "2"], "0"));
    }
}

fn protected_paths(rootfs: &Rootfs) {
    let script = "for f in /proc/sys/kernel/domainname /proc/sysrq-trigger /etc/hosts /etc/resolv.conf /sys/kernel/x; do \
        (echo x > $f) 2>/dev/null && echo $f writable; done; \
        cat /proc/kcore 2>/dev/null | head -c 1 | wc -c; ls /sys/firmware | wc -l; head -c 10 /proc/timer_list | wc -c";
    assert_eq!(rootfs.output_of(&rootfs.shell(script)), "0\n0\n0\n");
}

fn namespaces(rootfs: &Rootfs) {
    let script =
        "hostname; ls -d /proc/[0-9]* | head -1; ls / | tr '\\n' ' '; umask; wc -c < /dev/stdin; pwd";
    let output = rootfs.output_of(&rootfs.shell(script));
    assert_eq!(output, "buildkitsandbox\n/proc/1\nbin dev etc home proc root sys tmp var 0022\n0\n/\n");
    for kind in ["mnt", "pid", "ipc", "uts", "cgroup"] {
        let inside = rootfs.output_of(&rootfs.spec(&["readlink", &format!("/proc/self/ns/{kind}")]));
        let outside = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_ne!(inside.trim(), outside.to_str().unwrap(), "{kind}");
    }
}

fn no_network(rootfs: &Rootfs) {
    let script =
        "tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; ip addr show lo | grep -c 'inet 127.0.0.1/8'";
    let spec = Spec { network: Network::None, ..rootfs.shell(script) };
    assert_eq!(rootfs.output_of(&spec), "lo\n1\n");
}

fn users(rootfs: &Rootfs) {
    if !rootless::probe().maps_many_ids() {
        println!("SKIP users: only one user id is mapped");
        return;
    }
    let id = |user: &str| rootfs.output_of(&Spec { user: user.to_owned(), ..rootfs.spec(&["id"]) });
    assert_eq!(id("mail"), "uid=8(mail) gid=8(mail) groups=8(mail)\n");
    assert_eq!(id("1234"), "uid=1234 gid=0(root) groups=0(root)\n");
    assert_eq!(id("4000:5000"), "uid=4000 gid=5000 groups=5000\n");
    let extra =
        Spec { user: "mail".to_owned(), extra_groups: vec!["77".to_owned()], ..rootfs.spec(&["id", "-G"]) };
    assert_eq!(rootfs.output_of(&extra), "8 77\n");
    // The pipe belongs to root until the sandbox gives it to the user.
    let stderr = Spec { user: "mail".to_owned(), ..rootfs.shell("echo through > /dev/stderr") };
    assert_eq!(rootfs.output_of(&stderr), "through\n");
}

fn stubs_are_removed(rootfs: &Rootfs) {
    std::fs::create_dir(rootfs.upper("srv")).unwrap();
    let time =
        std::fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(7));
    let mut spec = rootfs.shell("test -e /etc/hosts && test -d /srv/a/b && test -d /run/deep/er");
    let tmpfs = || MountSource::Tmpfs { size: None, mode: 0o755 };
    spec.mounts.push(mount("/srv/a/b", tmpfs(), false));
    spec.mounts.push(mount("/run/deep/er", tmpfs(), false));
    std::fs::File::open(rootfs.upper("srv")).unwrap().set_times(time).unwrap();
    rootfs.output_of(&spec);
    for path in ["etc/hosts", "etc/resolv.conf", "run", "srv/a"] {
        assert!(!rootfs.upper(path).exists(), "{path} stayed");
    }
    assert!(rootfs.upper("srv").exists());
    for path in ["proc", "sys", "dev"] {
        assert!(rootfs.upper(path).read_dir().unwrap().next().is_none(), "{path} is a folder that stays");
    }
}

fn used_stubs_stay(rootfs: &Rootfs) {
    let mut spec = rootfs.shell("echo x > /mnt/deep/own");
    spec.mounts.push(mount("/mnt/deep/tmp", MountSource::Tmpfs { size: None, mode: 0o755 }, false));
    rootfs.output_of(&spec);
    assert!(rootfs.upper("mnt/deep/own").is_file());
    assert!(!rootfs.upper("mnt/deep/tmp").exists());
}

fn mounts(rootfs: &Rootfs) {
    let shared = rootfs.beside("shared");
    std::fs::write(shared.join("from-host"), "host\n").unwrap();
    let mut spec = rootfs.shell(
        "cat /shared/from-host; echo back > /shared/from-inside; echo no > /fixed/x; stat -c '%a %u %s' /run/secrets/key; \
         cat /run/secrets/key; df -k /small | tail -1 | tr -s ' ' | cut -d' ' -f2; stat -c %a /small",
    );
    spec.mounts.extend([
        mount("/small", MountSource::Tmpfs { size: Some(1 << 20), mode: 0o700 }, false),
        mount("/shared", MountSource::Tmpfs { size: None, mode: 0o755 }, false),
        mount("/shared", MountSource::Bind(shared.clone()), false),
        mount("/fixed", MountSource::Bind(shared.clone()), true),
        mount(
            "/run/secrets/key",
            MountSource::File { data: vec![b's', 0xff, b'\n'], mode: 0o400, uid: 0, gid: 0 },
            true,
        ),
    ]);
    let outcome = rootfs.run(&spec).unwrap();
    assert_eq!(
        outcome.output,
        "host\nsh: can't create /fixed/x: Read-only file system\n400 0 3\ns\u{fffd}\n1024\n700\n"
    );
    assert_eq!(std::fs::read_to_string(shared.join("from-inside")).unwrap(), "back\n");
    assert!(!rootfs.upper("run").exists());
}

fn discarded_changes(rootfs: &Rootfs) {
    let lower = rootfs.beside("context");
    std::fs::create_dir(lower.join("sub")).unwrap();
    std::fs::write(lower.join("sub/file"), "original\n").unwrap();
    let source = MountSource::Discard {
        lowers: vec![lower.clone()],
        source: "/sub".to_owned(),
        scratch: rootfs.beside("scratch"),
    };
    let mut spec = rootfs.shell("echo changed > /ctx/file; echo new > /ctx/new; cat /ctx/file /ctx/new");
    spec.mounts.push(mount("/ctx", source, false));
    assert_eq!(rootfs.output_of(&spec), "changed\nnew\n");
    assert_eq!(std::fs::read_to_string(lower.join("sub/file")).unwrap(), "original\n");
    assert!(!lower.join("sub/new").exists());
}

fn workdir(rootfs: &Rootfs) {
    let many = rootless::probe().maps_many_ids();
    let user = if many { "1234:1235" } else { "" };
    let spec = Spec { workdir: "/work/dir".to_owned(), user: user.to_owned(), ..rootfs.spec(&["pwd"]) };
    assert_eq!(rootfs.output_of(&spec), "/work/dir\n");
    let metadata = rootfs.upper("work/dir").metadata().unwrap();
    assert_eq!(metadata.mode() & 0o7777, 0o755);
    if many && !rootless::in_user_namespace() {
        assert_eq!((metadata.uid(), metadata.gid()), (1234, 1235));
    }
}

fn exit_statuses(rootfs: &Rootfs) {
    for init in [Init::Reaper, Init::Program] {
        let spec = Spec { init, ..rootfs.shell("exit 42") };
        assert_eq!(rootfs.run(&spec).unwrap().exit, Exit::Code(42));
    }
    let killed = rootfs.run(&rootfs.shell("kill -9 $$")).unwrap();
    assert_eq!(killed.exit.code(), 137);
}

fn background_processes_end(rootfs: &Rootfs) {
    let begin = std::time::Instant::now();
    rootfs.output_of(&rootfs.shell("(sleep 60; echo late > /late) & echo started > /started"));
    assert!(begin.elapsed().as_secs() < 30);
    assert!(rootfs.upper("started").exists() && !rootfs.upper("late").exists());
}

fn signals_reach_the_program(rootfs: &Rootfs) {
    use rbuild_runtime::sandbox::{Io, Stdio, spawn};
    use std::io::Read;
    let (mut reader, writer) = std::io::pipe().unwrap();
    let spec = rootfs.shell("trap 'exit 7' TERM; echo ready; while true; do sleep 0.05; done");
    let stdio = Stdio { stdin: Io::Null, stdout: Io::Fd(writer.into()), stderr: Io::Null };
    let mut child = spawn(&spec, stdio).unwrap();
    reader.read_exact(&mut [0; 6]).unwrap();
    assert_eq!(child.try_wait().unwrap(), None);
    child.signal(15).unwrap();
    assert_eq!(child.wait().unwrap(), Exit::Code(7));
    child.signal(15).unwrap();
}

fn signal_state_is_fresh(rootfs: &Rootfs) {
    let script = "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t'; ls /proc/self/fd | wc -l";
    let output = rootfs.output_of(&rootfs.spec(&["sh", "-c", script]));
    // The fourth is ls's own.
    assert_eq!(output, "SigBlk:0000000000000000\nSigIgn:0000000000000000\n4\n");
}

fn filtered_calls(rootfs: &Rootfs) {
    let script = "unshare -m true 2>/dev/null || echo unshare refused; \
        mount -t tmpfs none /mnt 2>/dev/null || echo mount refused; \
        hostname changed 2>/dev/null || echo hostname refused; chroot / /bin/true && echo chroot allowed";
    let expected = "unshare refused\nmount refused\nhostname refused\nchroot allowed\n";
    assert_eq!(rootfs.output_of(&rootfs.shell(script)), expected);
}

fn insecure(rootfs: &Rootfs) {
    let script = "grep -E '^Seccomp:' /proc/self/status | tr -d '\\t'; mkdir -p /mnt; mount -t tmpfs none /mnt && echo mounted";
    let spec = Spec { privilege: Privilege::All, ..rootfs.shell(script) };
    // Where one id is mapped, a filter passes on the calls about owners and ids, and forbids nothing.
    let filter = if rootless::probe().maps_many_ids() { 0 } else { 2 };
    assert_eq!(rootfs.output_of(&spec), format!("Seccomp:{filter}\nmounted\n"));
}

fn readonly_rootfs(rootfs: &Rootfs) {
    let spec = Spec {
        readonly_rootfs: true,
        ..rootfs.shell("(echo x > /x) 2>/dev/null || echo refused; echo y > /dev/shm/y")
    };
    assert_eq!(rootfs.output_of(&spec), "refused\n");
}

fn many_layers(rootfs: &Rootfs) {
    let mut spec = rootfs.shell("cat /layer-0 /layer-299");
    let rbuild_runtime::sandbox::Rootfs::Overlay { lowers, .. } = &mut spec.rootfs else { unreachable!() };
    for index in 0..300 {
        let layer = rootfs.beside(&format!("a-layer-with-a-rather-long-name-{index}"));
        std::fs::write(layer.join(format!("layer-{index}")), format!("{index}\n")).unwrap();
        lowers.insert(0, layer);
    }
    assert_eq!(rootfs.output_of(&spec), "0\n299\n");
}

fn reaper_is_closed(rootfs: &Rootfs) {
    // It has one descriptor, with which it reports how the program ended: nobody else must get at that.
    let script = "cat /proc/1/environ 2>/dev/null | wc -c; ls /proc/1/fd | wc -l; \
        for fd in /proc/1/fd/*; do (echo lie > $fd) 2>/dev/null || echo refused; readlink $fd; done; \
        (echo x >> /proc/1/exe) 2>/dev/null || echo refused";
    assert_eq!(rootfs.output_of(&rootfs.shell(script)), "0\n1\nrefused\nrefused\n");
}
