//! Sandboxes that are launched before there is a program for them.

use rbuild_runtime::sandbox::{Kind, Network, Privilege, Spec, Standby};

use super::Test;
use super::support::Rootfs;

pub(crate) const TESTS: &[Test] = &[
    ("a_standby_is_like_any_other", a_standby_is_like_any_other),
    ("a_standby_of_another_kind_is_left_alone", a_standby_of_another_kind_is_left_alone),
    ("a_standby_that_has_gone_is_replaced", a_standby_that_has_gone_is_replaced),
    ("a_standby_that_is_not_needed_ends", a_standby_that_is_not_needed_ends),
];

/// What a program can see of its surroundings, but for what is of the moment: numbers of mounts, of processes.
const SURROUNDINGS: &str = "cat /proc/self/mountinfo | sed 's/^[0-9]* [0-9]* [0-9]*:[0-9]* //; s/ - .*//'; hostname; \
    cat /proc/self/status | grep -E '^(Sig...:|Cap|Groups|Seccomp|NoNewPrivs)'; ls -l /proc/self/fd | wc -l; umask; \
    stat -c '%n %a %t:%T' /dev/* /dev/shm /dev/pts; cat /proc/self/cgroup /etc/hosts; pwd; ulimit -a; \
    tr '\\0' ' ' < /proc/1/cmdline; touch /proc/sys/kernel/hostname 2>&1";

fn a_standby_is_like_any_other(rootfs: &Rootfs) {
    let spec = rootfs.shell(SURROUNDINGS);
    let standby = Standby::launch(Kind::of(&spec)).unwrap();
    let in_standby = rootfs.run_in(Some(standby), &spec).unwrap();
    assert!(in_standby.output.contains("buildkitsandbox"), "{in_standby:?}");
    assert_eq!(rootfs.run(&spec).unwrap().output, in_standby.output);
}

fn a_standby_of_another_kind_is_left_alone(rootfs: &Rootfs) {
    let default = rootfs.shell("cat /proc/net/dev | wc -l; cat /proc/self/status | grep CapEff; df /dev/shm");
    for other in [
        Spec { network: Network::None, ..default.clone() },
        Spec { privilege: Privilege::All, ..default.clone() },
        Spec { shm_size: 1 << 20, ..default.clone() },
    ] {
        let standby = Standby::launch(Kind::of(&default)).unwrap();
        let outcome = rootfs.run_in(Some(standby), &other).unwrap();
        assert_eq!(outcome.output, rootfs.output_of(&other), "{other:?}");
    }
}

fn a_standby_that_has_gone_is_replaced(rootfs: &Rootfs) {
    let spec = rootfs.shell("echo here");
    // It ends with the thread that launched it.
    let kind = Kind::of(&spec);
    let standby = std::thread::spawn(move || Standby::launch(kind).unwrap()).join().unwrap();
    assert_eq!(rootfs.run_in(Some(standby), &spec).unwrap().output, "here\n");
}

fn a_standby_that_is_not_needed_ends(rootfs: &Rootfs) {
    let standby = Standby::launch(Kind::of(&rootfs.shell("true"))).unwrap();
    drop(standby);
    // We have no children: nothing waits, nothing is left to be waited for.
    let left = rustix::process::waitpid(None, rustix::process::WaitOptions::NOHANG);
    assert_eq!(left.map(|_| ()), Err(rustix::io::Errno::CHILD));
}
