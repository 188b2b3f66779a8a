//! Classic BPF: instructions, and a search tree over number ranges.

/// Loads the 32-bit word at an offset of `struct seccomp_data`.
const LOAD: u16 = 0x20;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_GREATER_OR_EQUAL: u16 = 0x35;
const JUMP_IF_BITS: u16 = 0x45;
const RETURN: u16 = 0x06;

const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_KILL_PROCESS: u32 = 0x8000_0000;
const RETURN_NOTIFY: u32 = 0x7fc0_0000;

const OFFSET_NUMBER: u32 = 0;
const OFFSET_ARCHITECTURE: u32 = 4;
/// The first argument's halves; both architectures are little-endian.
const OFFSET_ARGUMENT_LOW: u32 = 16;
const OFFSET_ARGUMENT_HIGH: u32 = 20;

/// One instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) code: u16,
    pub(crate) jump_true: u8,
    pub(crate) jump_false: u8,
    pub(crate) operand: u32,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Allow,
    /// Fails with this errno.
    Refuse(u16),
    /// Allowed unless the first argument is this.
    AllowUnless(u32),
    /// Allowed if the first argument is one of these.
    AllowOnly(&'static [u32]),
    /// Allowed if the first argument has none of these bits.
    AllowWithout(u32),
}

/// EPERM.
const PERMISSION_DENIED: u16 = 1;

/// An action for all numbers from `start` on, up to the next range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) start: u32,
    pub(super) action: Action,
}

/// A program that looks at the architecture, then searches that architecture's ranges. Calls by another
/// architecture kill the process.
pub(super) fn assemble(architectures: &[(u32, Vec<Range>)]) -> Vec<Instruction> {
    let mut program = vec![load(OFFSET_ARCHITECTURE)];
    for (architecture, ranges) in architectures {
        let mut block = vec![load(OFFSET_NUMBER)];
        block.extend(tree(ranges));
        // Blocks are longer than a conditional jump reaches.
        program.push(instruction(JUMP_IF_EQUAL, 1, 0, *architecture));
        program.push(instruction(JUMP, 0, 0, length(&block)));
        program.extend(block);
    }
    program.push(give(RETURN_KILL_PROCESS));
    program
}

/// A call that is handed to whoever listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trap {
    pub(crate) number: u32,
    /// Only with one of these bits in the argument of this index.
    pub(crate) with_bits: Option<(u32, u32)>,
}

/// A program that hands some calls of an architecture over, and allows everything else.
pub(super) fn notify(architecture: u32, traps: &[Trap]) -> Vec<Instruction> {
    let mut program = vec![
        load(OFFSET_ARCHITECTURE),
        instruction(JUMP_IF_EQUAL, 1, 0, architecture),
        give(RETURN_ALLOW),
        load(OFFSET_NUMBER),
    ];
    for trap in traps {
        let code = match trap.with_bits {
            None => vec![give(RETURN_NOTIFY)],
            Some((argument, bits)) => vec![
                load(OFFSET_ARGUMENT_LOW + 8 * argument),
                instruction(JUMP_IF_BITS, 0, 1, bits),
                give(RETURN_NOTIFY),
                give(RETURN_ALLOW),
            ],
        };
        let past = u8::try_from(code.len()).expect("a handful of instructions");
        program.push(instruction(JUMP_IF_EQUAL, 0, past, trap.number));
        program.extend(code);
    }
    program.push(give(RETURN_ALLOW));
    program
}

fn tree(ranges: &[Range]) -> Vec<Instruction> {
    if let [range] = ranges {
        return leaf(range.action);
    }
    let middle = ranges.len() / 2;
    let (left, right) = (tree(&ranges[..middle]), tree(&ranges[middle..]));
    let pivot = ranges[middle].start;
    let mut code = match u8::try_from(left.len()) {
        Ok(distance) => vec![instruction(JUMP_IF_GREATER_OR_EQUAL, distance, 0, pivot)],
        Err(_) => {
            vec![instruction(JUMP_IF_GREATER_OR_EQUAL, 0, 1, pivot), instruction(JUMP, 0, 0, length(&left))]
        }
    };
    code.extend(left);
    code.extend(right);
    code
}

fn leaf(action: Action) -> Vec<Instruction> {
    let refuse = give(RETURN_ERRNO | u32::from(PERMISSION_DENIED));
    let allow = give(RETURN_ALLOW);
    match action {
        Action::Allow => vec![allow],
        Action::Refuse(errno) => vec![give(RETURN_ERRNO | u32::from(errno))],
        Action::AllowUnless(value) => vec![
            load(OFFSET_ARGUMENT_LOW),
            instruction(JUMP_IF_EQUAL, 0, 2, value),
            load(OFFSET_ARGUMENT_HIGH),
            instruction(JUMP_IF_EQUAL, 1, 0, 0),
            allow,
            refuse,
        ],
        Action::AllowOnly(values) => {
            let count = u8::try_from(values.len()).expect("a handful of values");
            let mut code = vec![
                load(OFFSET_ARGUMENT_HIGH),
                instruction(JUMP_IF_EQUAL, 0, count + 1, 0),
                load(OFFSET_ARGUMENT_LOW),
            ];
            let distances = (1..=count).rev();
            code.extend(
                values
                    .iter()
                    .zip(distances)
                    .map(|(value, distance)| instruction(JUMP_IF_EQUAL, distance, 0, *value)),
            );
            code.extend([refuse, allow]);
            code
        }
        Action::AllowWithout(bits) => {
            vec![load(OFFSET_ARGUMENT_LOW), instruction(JUMP_IF_BITS, 1, 0, bits), allow, refuse]
        }
    }
}

fn load(offset: u32) -> Instruction {
    instruction(LOAD, 0, 0, offset)
}

fn give(value: u32) -> Instruction {
    instruction(RETURN, 0, 0, value)
}

fn length(code: &[Instruction]) -> u32 {
    u32::try_from(code.len()).expect("a program has at most 4096 instructions")
}

const fn instruction(code: u16, jump_true: u8, jump_false: u8, operand: u32) -> Instruction {
    Instruction { code, jump_true, jump_false, operand }
}
