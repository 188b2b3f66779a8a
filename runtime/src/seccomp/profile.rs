//! Docker's default profile: which calls are allowed under which condition.

use super::bpf::{Action, Instruction, Range, Trap, assemble, notify};
use super::numbers;
use crate::caps::CapSet;

/// What the profile makes depend.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions {
    /// The process's bounding capabilities.
    pub(crate) caps: CapSet,
    /// The kernel's version, major and minor.
    pub(crate) kernel: (u32, u32),
}

/// How the profile treats a name that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    Always,
    /// Allowed with one of these capabilities.
    With(CapSet),
    /// Tracing: safe to allow since Linux 4.8, before that with CAP_SYS_PTRACE.
    Tracing,
    /// Everything but virtual machine sockets, which no namespace separates.
    Socket,
    /// Switching the execution domain, to harmless ones.
    Personality,
    /// With CAP_SYS_ADMIN; else without new namespaces.
    Clone,
    /// With CAP_SYS_ADMIN; else as if it did not exist, since a filter cannot see its flags.
    Clone3,
}

const AF_VSOCK: u32 = 40;
/// PER_LINUX, PER_LINUX32, UNAME26, PER_LINUX32 with UNAME26, and "which is it".
const PERSONALITIES: &[u32] = &[0, 8, 0x2_0000, 0x2_0008, u32::MAX];
/// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NEW_NAMESPACES: u32 = 0x7e02_0000;

const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

const fn rule(name: &str) -> Rule {
    const ADMIN: CapSet = CapSet::of("SYS_ADMIN");
    match name.as_bytes() {
        b"socket" => Rule::Socket,
        b"personality" => Rule::Personality,
        b"clone" => Rule::Clone,
        b"clone3" => Rule::Clone3,
        b"ptrace" | b"process_vm_readv" | b"process_vm_writev" => Rule::Tracing,
        b"bpf" => Rule::With(ADMIN.with(CapSet::of("BPF"))),
        b"perf_event_open" => Rule::With(ADMIN.with(CapSet::of("PERFMON"))),
        b"syslog" => Rule::With(ADMIN.with(CapSet::of("SYSLOG"))),
        b"fanotify_init" | b"fsconfig" | b"fsmount" | b"fsopen" | b"fspick" | b"lookup_dcookie"
        | b"lsm_get_self_attr" | b"lsm_list_modules" | b"lsm_set_self_attr" | b"mount" | b"mount_setattr"
        | b"move_mount" | b"open_tree" | b"quotactl" | b"quotactl_fd" | b"setdomainname" | b"sethostname"
        | b"setns" | b"umount" | b"umount2" | b"unshare" => Rule::With(ADMIN),
        b"open_by_handle_at" => Rule::With(CapSet::of("DAC_READ_SEARCH")),
        b"reboot" => Rule::With(CapSet::of("SYS_BOOT")),
        b"chroot" => Rule::With(CapSet::of("SYS_CHROOT")),
        b"delete_module" | b"init_module" | b"finit_module" => Rule::With(CapSet::of("SYS_MODULE")),
        b"acct" => Rule::With(CapSet::of("SYS_PACCT")),
        b"kcmp" | b"pidfd_getfd" | b"process_madvise" => Rule::With(CapSet::of("SYS_PTRACE")),
        b"iopl" | b"ioperm" => Rule::With(CapSet::of("SYS_RAWIO")),
        b"settimeofday" | b"stime" | b"clock_settime" | b"clock_settime64" => {
            Rule::With(CapSet::of("SYS_TIME"))
        }
        b"vhangup" => Rule::With(CapSet::of("SYS_TTY_CONFIG")),
        b"get_mempolicy" | b"mbind" | b"set_mempolicy" | b"set_mempolicy_home_node" => {
            Rule::With(CapSet::of("SYS_NICE"))
        }
        _ => Rule::Always,
    }
}

/// The rules of one table of numbers, worked out by the compiler.
const fn rules<const N: usize>(calls: &[(u32, &str)]) -> [(u32, Rule); N] {
    let mut rules = [(0, Rule::Always); N];
    let mut index = 0;
    while index < N {
        rules[index] = (calls[index].0, rule(calls[index].1));
        index += 1;
    }
    rules
}

macro_rules! rules_of {
    ($architecture:ident) => {{
        const RULES: [(u32, Rule); numbers::$architecture::CALLS.len()] =
            rules(numbers::$architecture::CALLS);
        &RULES
    }};
}

/// The kernel's numbers of the architectures (`AUDIT_ARCH_*`).
#[cfg(any(target_arch = "x86_64", test))]
pub(super) mod architecture {
    pub(in crate::seccomp) const X86_64: u32 = 0xc000_003e;
    pub(in crate::seccomp) const I386: u32 = 0x4000_0003;
}
#[cfg(any(target_arch = "aarch64", test))]
pub(super) mod arm_architecture {
    pub(in crate::seccomp) const AARCH64: u32 = 0xc000_00b7;
    pub(in crate::seccomp) const ARM: u32 = 0x4000_0028;
}

/// The filter for this machine.
pub(crate) fn program(conditions: Conditions) -> Vec<Instruction> {
    #[cfg(target_arch = "x86_64")]
    return x86_program(conditions);
    #[cfg(target_arch = "aarch64")]
    return arm_program(conditions);
}

/// A filter that hands calls of this machine's own kind of programs over; those of other kinds are not touched.
pub(crate) fn notifying(traps: &[Trap]) -> Vec<Instruction> {
    #[cfg(target_arch = "x86_64")]
    return notify(architecture::X86_64, traps);
    #[cfg(target_arch = "aarch64")]
    return notify(arm_architecture::AARCH64, traps);
}

/// 64-bit x86 kernels run three kinds of programs; x32's calls come as x86_64's with bit 30 set.
#[cfg(any(target_arch = "x86_64", test))]
pub(super) fn x86_program(conditions: Conditions) -> Vec<Instruction> {
    let mut native = ranges(rules_of!(x86_64), conditions);
    native.extend(ranges(rules_of!(x32), conditions).into_iter().map(|range| Range {
        // The default that a table begins with starts where x32 does.
        start: range.start.max(X32_BIT),
        ..range
    }));
    assemble(&[(architecture::X86_64, native), (architecture::I386, ranges(rules_of!(i386), conditions))])
}

#[cfg(any(target_arch = "x86_64", test))]
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// 64-bit ARM kernels run 32-bit programs too.
#[cfg(any(target_arch = "aarch64", test))]
pub(super) fn arm_program(conditions: Conditions) -> Vec<Instruction> {
    use arm_architecture::{AARCH64, ARM};
    assemble(&[(AARCH64, ranges(rules_of!(aarch64), conditions)), (ARM, ranges(rules_of!(arm), conditions))])
}

/// ARM's private calls; ordinary numbers stay far below.
const FIRST_PRIVATE: u32 = 0x000f_0000;

fn ranges(rules: &[(u32, Rule)], conditions: Conditions) -> Vec<Range> {
    let ordinary = |number: u32| !(FIRST_PRIVATE..FIRST_PRIVATE + 0x1_0000).contains(&number);
    let newest =
        rules.iter().map(|(number, _)| *number).filter(|number| ordinary(*number)).max().unwrap_or(0);
    let mut ranges = Ranges(vec![Range { start: 0, action: Action::Refuse(EPERM) }]);
    let mut next = 0;
    for (number, rule) in rules {
        if *number > next {
            ranges.push(next, if next > newest { Action::Refuse(ENOSYS) } else { Action::Refuse(EPERM) });
        }
        ranges.push(*number, action(*rule, conditions));
        next = number + 1;
    }
    ranges.push(next, Action::Refuse(ENOSYS));
    ranges.0
}

/// Ranges in ascending order, equal neighbours joined.
struct Ranges(Vec<Range>);

impl Ranges {
    fn push(&mut self, start: u32, action: Action) {
        match self.0.last_mut() {
            Some(last) if last.action == action => {}
            Some(last) if last.start == start => last.action = action,
            _ => self.0.push(Range { start, action }),
        }
    }
}

fn action(rule: Rule, conditions: Conditions) -> Action {
    let admin = conditions.caps.intersects(CapSet::of("SYS_ADMIN"));
    let allow_if = |allowed: bool| if allowed { Action::Allow } else { Action::Refuse(EPERM) };
    match rule {
        Rule::Always => Action::Allow,
        Rule::With(caps) => allow_if(conditions.caps.intersects(caps)),
        Rule::Tracing => {
            allow_if(conditions.kernel >= (4, 8) || conditions.caps.intersects(CapSet::of("SYS_PTRACE")))
        }
        Rule::Socket => Action::AllowUnless(AF_VSOCK),
        Rule::Personality => Action::AllowOnly(PERSONALITIES),
        Rule::Clone if admin => Action::Allow,
        Rule::Clone => Action::AllowWithout(NEW_NAMESPACES),
        Rule::Clone3 if admin => Action::Allow,
        Rule::Clone3 => Action::Refuse(ENOSYS),
    }
}
