//! The programs, run by an interpreter, against the profile written down a second time, by name.

use std::collections::BTreeMap;

use super::bpf::Instruction;
use super::profile::{Conditions, X32_BIT, architecture, arm_architecture, arm_program, x86_program};
use super::{numbers, program};
use crate::caps::CapSet;

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0x8000_0000;

/// Names that Docker's profile allows without a condition.
const ALLOWED: &str = include_str!("tests/allowed.txt");

/// Names that it allows with one of some capabilities.
#[rustfmt::skip]
const WITH_CAPABILITY: &[(&[&str], &str)] = &[
    (&["DAC_READ_SEARCH"], "open_by_handle_at"),
    (&["SYS_ADMIN"], "fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr lsm_list_modules \
        lsm_set_self_attr mount mount_setattr move_mount open_tree quotactl quotactl_fd setdomainname sethostname setns \
        umount umount2 unshare"),
    (&["SYS_ADMIN", "BPF"], "bpf"),
    (&["SYS_ADMIN", "PERFMON"], "perf_event_open"),
    (&["SYS_ADMIN", "SYSLOG"], "syslog"),
    (&["SYS_BOOT"], "reboot"),
    (&["SYS_CHROOT"], "chroot"),
    (&["SYS_MODULE"], "delete_module init_module finit_module"),
    (&["SYS_PACCT"], "acct"),
    (&["SYS_PTRACE"], "kcmp pidfd_getfd process_madvise"),
    (&["SYS_RAWIO"], "iopl ioperm"),
    (&["SYS_TIME"], "settimeofday stime clock_settime clock_settime64"),
    (&["SYS_TTY_CONFIG"], "vhangup"),
    (&["SYS_NICE"], "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
];

/// Of the names above, those that no architecture of ours has.
const ELSEWHERE: &[&str] = &["riscv_hwprobe"];

/// Allowed on the architectures that have them.
const BY_ARCHITECTURE: &str = "arch_prctl modify_ldt arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint \
    cacheflush set_tls";

struct Architecture {
    number: u32,
    calls: &'static [(u32, &'static str)],
    program: fn(Conditions) -> Vec<Instruction>,
}

fn architectures() -> [Architecture; 5] {
    let x86 = |number, calls| Architecture { number, calls, program: x86_program };
    let arm = |number, calls| Architecture { number, calls, program: arm_program };
    [
        x86(architecture::X86_64, numbers::x86_64::CALLS),
        x86(architecture::X86_64, numbers::x32::CALLS),
        x86(architecture::I386, numbers::i386::CALLS),
        arm(arm_architecture::AARCH64, numbers::aarch64::CALLS),
        arm(arm_architecture::ARM, numbers::arm::CALLS),
    ]
}

/// What the kernel's interpreter would return.
fn run(program: &[Instruction], architecture: u32, number: u32, argument: u64) -> u32 {
    let low = u32::try_from(argument & u64::from(u32::MAX)).unwrap();
    let high = u32::try_from(argument >> 32).unwrap();
    let mut accumulator = 0;
    let mut at = 0;
    loop {
        let Instruction { code, jump_true, jump_false, operand } = program[at];
        at += 1;
        let jump = |condition: bool| usize::from(if condition { jump_true } else { jump_false });
        match code {
            0x20 => {
                accumulator = match operand {
                    0 => number,
                    4 => architecture,
                    16 => low,
                    20 => high,
                    other => panic!("load from {other}"),
                }
            }
            0x05 => at += operand as usize,
            0x15 => at += jump(accumulator == operand),
            0x35 => at += jump(accumulator >= operand),
            0x45 => at += jump(accumulator & operand != 0),
            0x06 => return operand,
            other => panic!("instruction {other:#x}"),
        }
    }
}

const DEFAULT: Conditions = Conditions { caps: CapSet::DEFAULT, kernel: (6, 1) };

/// What a call with a zero argument gives, by its name.
fn expected(name: &str, conditions: Conditions) -> u32 {
    let has = |caps: &[&str]| caps.iter().any(|cap| conditions.caps.intersects(CapSet::of(cap)));
    let allow_if = |condition| if condition { ALLOW } else { EPERM };
    if ALLOWED.split_whitespace().chain(BY_ARCHITECTURE.split_whitespace()).any(|allowed| allowed == name) {
        return ALLOW;
    }
    if let Some((caps, _)) =
        WITH_CAPABILITY.iter().find(|(_, names)| names.split_whitespace().any(|one| one == name))
    {
        return allow_if(has(caps));
    }
    match name {
        "socket" | "personality" | "clone" => ALLOW,
        "clone3" if has(&["SYS_ADMIN"]) => ALLOW,
        "clone3" => ENOSYS,
        "ptrace" | "process_vm_readv" | "process_vm_writev" => {
            allow_if(conditions.kernel >= (4, 8) || has(&["SYS_PTRACE"]))
        }
        other => panic!("{other} is in no rule of the profile"),
    }
}

#[test]
fn every_number_has_the_effect_of_its_name() {
    let sets =
        [CapSet::DEFAULT, CapSet::EMPTY, CapSet::ALL, CapSet::of("SYS_ADMIN"), CapSet::of("SYS_PTRACE")];
    for caps in sets {
        for kernel in [(4, 7), (4, 8), (6, 18)] {
            let conditions = Conditions { caps, kernel };
            for Architecture { number: architecture, calls, program } in architectures() {
                let program = program(conditions);
                for (number, name) in calls {
                    let action = run(&program, architecture, *number, 0);
                    assert_eq!(
                        action,
                        expected(name, conditions),
                        "{name} on {architecture:#x}, {conditions:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn every_other_number_is_refused() {
    for Architecture { number: architecture, calls, program } in architectures() {
        let program = program(DEFAULT);
        let base = calls[0].0 & X32_BIT;
        let known: BTreeMap<u32, &str> = calls.iter().copied().collect();
        let newest = *known.range(..0xf_0000 + base).next_back().unwrap().0;
        for number in (base..base + 1000).filter(|number| !known.contains_key(number)) {
            let expected = if number > newest { ENOSYS } else { EPERM };
            assert_eq!(run(&program, architecture, number, 0), expected, "{number:#x} on {architecture:#x}");
        }
        for number in [u32::MAX, 0x7fff_ffff, 0x3fff_ffff, 0xf_0000, 0xf_0003, 0xf_0006] {
            let action = run(&program, architecture, number, 0);
            assert!([EPERM, ENOSYS].contains(&action), "{number:#x} on {architecture:#x}: {action:#x}");
        }
    }
}

#[test]
fn names_of_the_profile_have_numbers() {
    let conditional = WITH_CAPABILITY.iter().flat_map(|(_, names)| names.split_whitespace());
    for name in ALLOWED.split_whitespace().chain(conditional).chain(BY_ARCHITECTURE.split_whitespace()) {
        let found = architectures().iter().any(|one| one.calls.iter().any(|(_, known)| *known == name));
        assert_ne!(found, ELSEWHERE.contains(&name), "{name}");
    }
}

#[test]
fn tables_ascend() {
    for Architecture { number, calls, .. } in architectures() {
        // Two names may share a number.
        assert!(calls.is_sorted_by_key(|(number, _)| *number), "{number:#x}");
    }
}

#[test]
fn arguments_decide() {
    let table: &[(&str, u64, u32)] = &[
        ("socket", 2, ALLOW),
        ("socket", 40, EPERM),
        ("socket", 40 | 1 << 32, ALLOW),
        ("personality", 0, ALLOW),
        ("personality", 8, ALLOW),
        ("personality", 0x2_0000, ALLOW),
        ("personality", 0x2_0008, ALLOW),
        ("personality", 0xffff_ffff, ALLOW),
        ("personality", 0xffff_ffff_ffff_ffff, EPERM),
        ("personality", 0x4_0000, EPERM),
        ("personality", 1 << 32, EPERM),
        ("clone", 0x1200_0011 & !0x1000_0000 & !0x200_0000, ALLOW),
        ("clone", 0x1000_0000, EPERM),
        ("clone", 0x2_0000, EPERM),
        ("clone", 0x4000_0011, EPERM),
        ("clone", 1 << 40, ALLOW),
    ];
    for Architecture { number: architecture, calls, program } in architectures() {
        let program = program(DEFAULT);
        for (name, argument, expected) in table {
            let (number, _) = calls.iter().find(|(_, known)| known == name).unwrap();
            let action = run(&program, architecture, *number, *argument);
            assert_eq!(action, *expected, "{name}({argument:#x}) on {architecture:#x}");
        }
        let all = Conditions { caps: CapSet::ALL, kernel: (6, 1) };
        let (clone, _) = calls.iter().find(|(_, known)| *known == "clone").unwrap();
        let free = (match architecture {
            architecture::X86_64 | architecture::I386 => x86_program,
            _ => arm_program,
        })(all);
        assert_eq!(run(&free, architecture, *clone, 0x1000_0000), ALLOW);
    }
}

#[test]
fn other_architectures_die() {
    assert_eq!(run(&x86_program(DEFAULT), arm_architecture::ARM, 0, 0), KILL);
    assert_eq!(run(&arm_program(DEFAULT), architecture::X86_64, 0, 0), KILL);
}

#[test]
fn programs_fit_the_kernel() {
    assert!(program(DEFAULT).len() < 4096);
    assert_eq!(size_of::<Instruction>(), size_of::<libc::sock_filter>());
}
