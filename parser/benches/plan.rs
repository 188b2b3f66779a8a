//! How long a Dockerfile of 10,000 instructions takes from its tree to a plan:
//! `cargo bench -p rbuild-parser --bench plan`.
//!
//! Each file (or those whose name contains the first argument) is planned for about a second; what is printed is the
//! fastest round, since everything else measures the machine's other work.
#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases, Config, Options, plan};
use rbuild_parser::{Dockerfile, parse};

/// Whatever image is asked for exists, and its configuration is empty.
struct AnyImage;

impl Bases for AnyImage {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let platform = request.platform.to_owned();
        Ok(Base { id: BaseId(0), config: Config::default(), author: None, platform, empty: false })
    }
}

/// Instructions of a file, FROM and ARG included.
const COUNT: usize = 10_000;

fn main() {
    // `cargo test --benches` runs this, too; once is enough then.
    let quick = std::env::args().any(|argument| argument == "--test");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let time = if quick { Duration::ZERO } else { Duration::from_secs(1) };
    let mut variables = "FROM x\n".to_owned();
    for number in 0..COUNT / 2 {
        writeln!(variables, "ENV NAME_{number}=value\nRUN echo $NAME_{number}").expect("a string takes all");
    }
    let mut undefined = "FROM x\n".to_owned();
    for number in 0..COUNT / 2 {
        writeln!(undefined, "ARG NAME_{number}=value\nUSER $OTHER_{number}").expect("a string takes all");
    }
    let mut stages = "FROM x AS stage0\n".to_owned();
    for number in 1..=COUNT / 10 {
        write!(
            stages,
            "ARG A=1\nENV B=$A C=c\nWORKDIR /w\nCOPY a b /c/\nRUN make $A\nRUN true\nUSER u\nCMD [\"d\"]\n\
             FROM y AS stage{number}\nCOPY --from=stage{} /c /d\n",
            number - 1
        )
        .expect("a string takes all");
    }
    let mut arguments = "FROM x\n".to_owned();
    for number in 0..COUNT / 2 {
        writeln!(arguments, "ARG NAME_{number}=value\nRUN make").expect("a string takes all");
    }
    let mut mistyped = "FROM x\n".to_owned();
    for number in 0..COUNT / 2 {
        writeln!(mistyped, "ENV NAME_{number}=value\nUSER $NAMES_{number}").expect("a string takes all");
    }
    let mut heirs = "FROM x AS s0\n".to_owned();
    for number in 0..COUNT / 4 {
        writeln!(heirs, "ENV NAME_{number}=value").expect("a string takes all");
    }
    for number in 1..=COUNT / 4 {
        write!(heirs, "FROM s{} AS s{number}\nENV A=$NAME_1\nRUN true\n", number - 1)
            .expect("a string takes all");
    }
    for (name, text) in [
        ("stages of ten", stages),
        ("an argument each", arguments),
        ("mistyped variables", mistyped),
        ("heirs of variables", heirs),
        (
            "one stage",
            format!("FROM x\n{}", "COPY a b /c/\nRUN make all\nENV A=b\nWORKDIR /w\n".repeat(COUNT / 4)),
        ),
        ("a variable each", variables),
        ("undefined variables", undefined),
    ] {
        if !name.contains(&wanted) {
            continue;
        }
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.errors, [], "{name} can be parsed");
        println!("{name:20} {:8.2} ms", fastest(&parsed.dockerfile, time));
    }
}

/// Milliseconds.
fn fastest(file: &Dockerfile, time: Duration) -> f64 {
    let options = Options { build_platform: "linux/amd64".to_owned(), ..Options::default() };
    let started = Instant::now();
    let mut best = Duration::MAX;
    while best == Duration::MAX || started.elapsed() < time {
        let round = Instant::now();
        let planned = plan(black_box(file), &options, &mut AnyImage);
        assert!(black_box(&planned).is_ok(), "the file can be planned");
        best = best.min(round.elapsed());
    }
    best.as_secs_f64() * 1e3
}
