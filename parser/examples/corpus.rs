//! Reads every file in a folder as a Dockerfile, as `rbuild build --check` would, and says what came out:
//! `cargo run -p rbuild-parser --example corpus -- FOLDER`. `fuzz/corpus-sources.md` says which files it was used on.
//!
//! Besides the outcome of each file it holds the parser to its promises: places lie in the file, and what is printed
//! parses again to the same text.
#![expect(clippy::print_stdout, reason = "an example reports on the terminal")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use rbuild_parser::lint::Rule;
use rbuild_parser::plan::{self, Base, BaseId, BaseRequest, Bases, Config, Options};
use rbuild_parser::{Dockerfile, Parsed, Source, excerpt, parse, print};

/// Whatever image is asked for exists, and its configuration is empty.
struct AnyImage;

impl Bases for AnyImage {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let platform = request.platform.to_owned();
        Ok(Base { id: BaseId(0), config: Config::default(), author: None, platform, empty: false })
    }
}

/// What became of one file.
enum Outcome {
    /// The checks that it does not pass, each as often as it was warned about.
    Valid(Vec<Rule>),
    Refused(String),
}

fn main() -> io::Result<()> {
    let folder = env::args_os().nth(1).ok_or_else(|| io::Error::other("usage: corpus FOLDER"))?;
    let mut paths = Vec::new();
    collect(Path::new(&folder), &mut paths)?;
    paths.sort();
    let mut valid = 0;
    let mut files_with = BTreeMap::<Rule, usize>::new();
    for path in &paths {
        let name = path.strip_prefix(&folder).unwrap_or(path).display();
        match examine(&fs::read(path)?) {
            Outcome::Valid(rules) => {
                println!("{name}: ok, {} warnings", rules.len());
                valid += 1;
                for rule in BTreeSet::from_iter(rules) {
                    *files_with.entry(rule).or_default() += 1;
                }
            }
            Outcome::Refused(message) => println!("{name}: {message}"),
        }
    }
    for (rule, files) in files_with {
        println!("{files:6} valid files with {}", rule.name());
    }
    println!("{} files, {valid} valid, {} refused", paths.len(), paths.len() - valid);
    Ok(())
}

/// All files in a folder and those below it.
fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            collect(&entry.path(), paths)?;
        } else {
            paths.push(entry.path());
        }
    }
    Ok(())
}

/// Parses and lints one file.
///
/// # Panics
/// If the parser breaks a promise.
fn examine(bytes: &[u8]) -> Outcome {
    let Parsed { dockerfile, errors } = parse(bytes);
    let source = Source::new(bytes);
    for error in &errors {
        if let Some(lines) = error.lines {
            assert!(!excerpt(&source, &[lines]).is_empty(), "{error:?} lies outside of the file");
        }
    }
    let options = Options { build_platform: "linux/amd64".to_owned(), ..Options::default() };
    if let Some(first) = errors.into_iter().next() {
        drop(plan::parse_warnings(&dockerfile, &options));
        return Outcome::Refused(first.message);
    }
    assert_prints_the_same(&dockerfile);
    let checked = plan::check(&dockerfile, &options, &mut AnyImage);
    match checked.error {
        Some(error) => Outcome::Refused(match error.lines {
            Some(lines) => format!("line {}: {}", lines.first, error.message),
            None => error.message,
        }),
        None => Outcome::Valid(checked.warnings.iter().map(|warning| warning.rule).collect()),
    }
}

fn assert_prints_the_same(file: &Dockerfile) {
    let printed = print(file);
    let again = parse(printed.as_bytes());
    assert_eq!(again.errors, [], "what is printed can be parsed:\n{printed}");
    assert_eq!(print(&again.dockerfile), printed, "printing again changes nothing");
}
