//! Whether programs for another architecture run here.
//!
//! The kernel hands a foreign program to an interpreter that is registered with binfmt_misc, mostly qemu-user. What is
//! registered can be read, but not always (the file system with the list need not be mounted), and what the list says
//! does not tell whether it works in a sandbox. So the answer is found by trying: a program that does nothing but end
//! is run in a sandbox which has no other file. That works if the interpreter was opened when it was registered
//! (flag F, as Debian's and everybody's packages register it), just as it must for the programs of an image.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::sandbox::{self, Init, Io, Network, Privilege, Rootfs, SpawnError, Spec, Stdio};

/// Where the kernel lists interpreters.
const LIST: &str = "/proc/sys/fs/binfmt_misc";

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Emulation {
    /// Its programs run.
    Works,
    /// Nobody is registered to interpret them.
    Missing,
    /// Somebody is, but is not found from inside of a sandbox: it was registered without the flag F.
    NotInSandbox {
        /// The name of the registration.
        handler: String,
    },
    /// We have no program to try it with.
    Unknown,
}

/// Finds out whether programs for `architecture` (in Go's terms: `arm64`) run in a sandbox. `folder` is empty, and
/// takes what is needed for that.
///
/// # Errors
/// When the program cannot be written, or no sandbox can be made.
pub fn probe(architecture: &str, folder: &Path) -> Result<Emulation, SpawnError> {
    let Some(machine) = MACHINES.iter().find(|machine| machine.architecture == architecture) else {
        return Ok(Emulation::Unknown);
    };
    let path = folder.join("probe");
    let failed = |error: io::Error| SpawnError::setup("write", path.display().to_string(), &error);
    std::fs::write(&path, machine.program()).map_err(failed)?;
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).map_err(failed)?;
    match run(folder) {
        Ok(true) => Ok(Emulation::Works),
        // It began, and then did not do the little that it has to do.
        Ok(false) => Ok(machine.why_not()),
        Err(SpawnError::NotExecutable { .. } | SpawnError::NotFound { .. }) => Ok(machine.why_not()),
        Err(error) => Err(error),
    }
}

fn run(folder: &Path) -> Result<bool, SpawnError> {
    let spec = Spec {
        argv: vec!["/probe".into()],
        env: Vec::new(),
        workdir: "/".into(),
        user: String::new(),
        extra_groups: Vec::new(),
        hostname: "probe".into(),
        rootfs: Rootfs::Dir(folder.to_owned()),
        mounts: Vec::new(),
        network: Network::Host,
        privilege: Privilege::Default { add: Vec::new(), drop: Vec::new(), no_new_privileges: false },
        init: Init::Reaper,
        terminal: None,
        readonly_rootfs: false,
        shm_size: 1 << 20,
        ulimits: Vec::new(),
    };
    let mut child = sandbox::spawn(&spec, Stdio { stdin: Io::Null, stdout: Io::Null, stderr: Io::Null })?;
    let exit = child.wait().map_err(|error| SpawnError::setup("wait for", "/probe", &error))?;
    Ok(exit.success())
}

/// An architecture, and how a program for it ends itself with the exit code 0.
struct Machine {
    /// In Go's terms.
    architecture: &'static str,
    /// In qemu's terms.
    qemu: &'static str,
    class: Class,
    order: Order,
    /// `e_machine` of ELF.
    number: u16,
    /// `e_flags` of ELF.
    flags: u32,
    /// The instructions, as they lie in memory.
    code: &'static [u8],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Bits32,
    Bits64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

const MACHINES: &[Machine] = &[
    Machine {
        architecture: "amd64",
        qemu: "x86_64",
        class: Class::Bits64,
        order: Order::Little,
        number: 62,
        flags: 0,
        // xor edi, edi; mov eax, 60; syscall
        code: b"\x31\xff\xb8\x3c\x00\x00\x00\x0f\x05",
    },
    Machine {
        architecture: "386",
        qemu: "i386",
        class: Class::Bits32,
        order: Order::Little,
        number: 3,
        flags: 0,
        // xor ebx, ebx; mov eax, 1; int 0x80
        code: b"\x31\xdb\xb8\x01\x00\x00\x00\xcd\x80",
    },
    Machine {
        architecture: "arm64",
        qemu: "aarch64",
        class: Class::Bits64,
        order: Order::Little,
        number: 183,
        flags: 0,
        // mov x0, #0; mov x8, #93; svc #0
        code: b"\x00\x00\x80\xd2\xa8\x0b\x80\xd2\x01\x00\x00\xd4",
    },
    Machine {
        architecture: "arm",
        qemu: "arm",
        class: Class::Bits32,
        order: Order::Little,
        number: 40,
        // EABI version 5
        flags: 0x0500_0000,
        // mov r0, #0; mov r7, #1; svc #0
        code: b"\x00\x00\xa0\xe3\x01\x70\xa0\xe3\x00\x00\x00\xef",
    },
    Machine {
        architecture: "riscv64",
        qemu: "riscv64",
        class: Class::Bits64,
        order: Order::Little,
        number: 243,
        flags: 0,
        // li a0, 0; li a7, 93; ecall
        code: b"\x13\x05\x00\x00\x93\x08\xd0\x05\x73\x00\x00\x00",
    },
    Machine {
        architecture: "ppc64le",
        qemu: "ppc64le",
        class: Class::Bits64,
        order: Order::Little,
        number: 21,
        // ABI version 2
        flags: 2,
        // li r0, 1; li r3, 0; sc
        code: b"\x01\x00\x00\x38\x00\x00\x60\x38\x02\x00\x00\x44",
    },
    Machine {
        architecture: "s390x",
        qemu: "s390x",
        class: Class::Bits64,
        order: Order::Big,
        number: 22,
        flags: 0,
        // lghi %r2, 0; svc 1
        code: b"\xa7\x29\x00\x00\x0a\x01",
    },
];

impl Machine {
    /// An ELF file: its header, one segment that is the whole file, and the code.
    fn program(&self) -> Vec<u8> {
        /// Where the file lies in memory: a multiple of every page size.
        const BASE: u64 = 0x40_0000;
        const PAGE: u64 = 0x1_0000;
        let is_64 = self.class == Class::Bits64;
        let (header, segment): (u16, u16) = if is_64 { (64, 56) } else { (52, 32) };
        let start = u64::from(header) + u64::from(segment);
        let size = start + self.code.len() as u64;
        let mut out = Writer { bytes: b"\x7fELF".to_vec(), class: self.class, order: self.order };
        out.bytes.extend([if is_64 { 2 } else { 1 }, if self.order == Order::Little { 1 } else { 2 }, 1]);
        out.bytes.resize(16, 0);
        // Executable, machine, version.
        out.half(2).half(self.number).word(1);
        // Entry, program headers, section headers.
        out.address(BASE + start).address(u64::from(header)).address(0).word(self.flags);
        out.half(header).half(segment).half(1).half(0).half(0).half(0);
        // A segment that is loaded, readable and executable. 32 bits have the permissions further back.
        out.word(1);
        if is_64 {
            out.word(5);
        }
        out.address(0).address(BASE).address(BASE).address(size).address(size);
        if !is_64 {
            out.word(5);
        }
        out.address(PAGE);
        out.bytes.extend(self.code);
        out.bytes
    }

    /// Why a program does not run that should.
    fn why_not(&self) -> Emulation {
        let handler = format!("qemu-{}", self.qemu);
        let entry = std::fs::read_to_string(Path::new(LIST).join(&handler)).unwrap_or_default();
        let flags = entry.lines().find_map(|line| line.strip_prefix("flags: "));
        match flags {
            Some(flags) if entry.starts_with("enabled") && !flags.contains('F') => {
                Emulation::NotInSandbox { handler }
            }
            _ => Emulation::Missing,
        }
    }
}

struct Writer {
    bytes: Vec<u8>,
    class: Class,
    order: Order,
}

impl Writer {
    fn half(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    fn word(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    fn address(&mut self, value: u64) -> &mut Self {
        let bytes = value.to_le_bytes();
        self.put(if self.class == Class::Bits64 { &bytes } else { &bytes[..4] })
    }

    fn put(&mut self, little: &[u8]) -> &mut Self {
        match self.order {
            Order::Little => self.bytes.extend(little),
            Order::Big => self.bytes.extend(little.iter().rev()),
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_as_long_as_they_say() {
        for machine in MACHINES {
            let program = machine.program();
            let header = if machine.class == Class::Bits64 { 64 + 56 } else { 52 + 32 };
            assert_eq!(program.len(), header + machine.code.len(), "{}", machine.architecture);
        }
    }

    #[test]
    fn the_program_for_this_machine_ends_well() {
        let host = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let Some(machine) = MACHINES.iter().find(|machine| machine.architecture == host) else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("probe");
        std::fs::write(&path, machine.program()).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(std::process::Command::new(&path).status().unwrap().success());
    }
}
