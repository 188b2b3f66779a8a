//! From a tree to text: every instruction on one line, in a uniform shape.
//!
//! Parsing the result gives the same tree again, but for places and for what is only about layout
//! ([`Instruction::text`], [`Instruction::empty_continuation`]). This holds for trees that came from a file
//! without errors.

use crate::grammar::heredoc::markers;
use crate::grammar::{bodies_length, json_array};
use crate::instruction::{
    Add, Arg, Command, Copy, Directives, Dockerfile, Escape, From, Healthcheck, Heredoc, Instruction, Kind,
    Mount, Network, Onbuild, Pair, PathSource, Paths, Run, Security, Volume,
};
use crate::source::{Spanned, Text};

/// Longest line that is written without a break, far below what the lexer takes.
const LONGEST: usize = 60_000;

/// Writes a file.
#[must_use]
pub fn print(file: &Dockerfile) -> String {
    let mut out = String::new();
    directives(&mut out, &file.directives);
    let mut writer = Writer { out, escape: file.escape };
    for arg in &file.global_args {
        writer.instruction(arg, |line| line.arg(&arg.kind));
    }
    for stage in &file.stages {
        writer.instruction(&stage.from, |line| line.from(&stage.from.kind));
        for instruction in &stage.instructions {
            writer.instruction(instruction, |line| line.kind(instruction));
        }
    }
    writer.out
}

fn directives(out: &mut String, directives: &Directives) {
    let Directives { syntax, escape, check } = directives;
    let escape = escape.as_ref().map(|escape| escape.value.char().to_string());
    let values = [
        ("syntax", syntax.as_ref().map(Spanned::as_str)),
        ("escape", escape.as_deref()),
        ("check", check.as_ref().map(Spanned::as_str)),
    ];
    for (name, value) in values {
        if let Some(value) = value {
            out.extend(["# ", name, "=", value, "\n"]);
        }
    }
    // A comment below must not be taken for one.
    out.push('\n');
}

struct Writer {
    out: String,
    escape: Escape,
}

impl Writer {
    fn instruction<K>(&mut self, instruction: &Instruction<K>, say: impl FnOnce(&mut Line)) {
        for comment in &instruction.comments {
            self.out.extend(["#", &comment.value, "\n"]);
        }
        let text = instruction.keyword.value.to_string();
        let mut line = Line { text, escape: self.escape, heredocs: instruction.heredocs.len() };
        say(&mut line);
        let found = markers(&line.text).unwrap_or_default();
        let wanted = &instruction.heredocs;
        // Some words can only be told from heredocs by the very blanks that were between them.
        let same =
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(one, two)| one.name == two.name);
        self.fold(if same { &line.text } else { &instruction.text });
        for Heredoc { name, body, .. } in &instruction.heredocs {
            self.out.extend([body, name, "\n"]);
        }
    }

    /// Writes a logical line, with breaks if it is very long.
    fn fold(&mut self, line: &str) {
        let escape = self.escape.char();
        let mut length = 0;
        let mut previous = ' ';
        for c in line.chars() {
            // What begins with a blank or `#` could be taken for an empty line or a comment.
            let breakable = !c.is_whitespace() && c != '#' && c != escape && previous != escape;
            if length > LONGEST && breakable {
                self.out.extend([escape, '\n']);
                length = 0;
            }
            self.out.push(c);
            length += c.len_utf8();
            previous = c;
        }
        let end = line.trim_end_matches([' ', '\t']);
        if end.ends_with(escape) && !end[..end.len() - 1].ends_with(escape) {
            // It would continue the line; behind a blank that only the end of a line ignores, it does not.
            self.out.push('\u{b}');
        }
        self.out.push('\n');
    }
}

/// A logical line in the making.
struct Line {
    text: String,
    escape: Escape,
    /// How many there are to be found in it.
    heredocs: usize,
}

impl Line {
    fn word(&mut self, word: &str) {
        self.text.extend([" ", word]);
    }

    /// The arguments, of which the first can look like a flag.
    fn arguments(&mut self, arguments: &str) {
        if arguments.starts_with("--") {
            self.word("--");
        }
        if !arguments.is_empty() {
            self.word(arguments);
        }
    }

    fn flag(&mut self, name: &str, value: Option<&str>) {
        let Some(value) = value else { return };
        let escape = self.escape.char();
        let special = |c: char| c.is_whitespace() || c == escape || matches!(c, '\'' | '"');
        self.text.extend([" --", name, "="]);
        if !value.contains(special) {
            self.text.push_str(value);
            return;
        }
        // Quotes rather than escapes, which the search for heredocs understands differently.
        let quote = if value.contains('"') { '\'' } else { '"' };
        self.text.push(quote);
        for c in value.chars() {
            if c == quote || c == escape {
                self.text.push(escape);
            }
            self.text.push(c);
        }
        self.text.push(quote);
    }

    fn text_flag(&mut self, name: &str, value: Option<&Spanned<Text>>) {
        self.flag(name, value.map(Spanned::as_str));
    }

    fn bool_flag(&mut self, name: &str, value: Option<bool>) {
        self.flag(name, value.map(|value| if value { "true" } else { "false" }));
    }

    fn list_flag(&mut self, name: &str, values: &[Spanned<Text>]) {
        values.iter().for_each(|value| self.flag(name, Some(value.as_str())));
    }

    fn from(&mut self, from: &From) {
        self.text_flag("platform", from.platform.as_ref());
        self.arguments(&from.image.value);
        if let Some(name) = &from.name {
            self.word(&name.keyword.value);
            self.word(&name.written.value);
        }
    }

    fn arg(&mut self, arg: &Arg) {
        let declarations = arg.declarations.iter().map(|declaration| match &declaration.default {
            Some(default) => format!("{}={}", declaration.name.value, default.value),
            None => declaration.name.value.to_string(),
        });
        self.quoted(&declarations.collect::<Vec<_>>());
    }

    fn kind(&mut self, instruction: &Instruction) {
        match &instruction.kind {
            Kind::Add(add) => self.add(add),
            Kind::Arg(arg) => self.arg(arg),
            Kind::Cmd(cmd) => self.command(&cmd.command),
            Kind::Copy(copy) => self.copy(copy),
            Kind::Entrypoint(entrypoint) => self.command(&entrypoint.command),
            Kind::Env(env) => self.pairs(&env.pairs, env.legacy),
            Kind::Expose(expose) => self.list(&expose.ports, false),
            Kind::Healthcheck(healthcheck) => self.healthcheck(healthcheck),
            Kind::Label(label) => self.pairs(&label.pairs, label.legacy),
            Kind::Maintainer(maintainer) => self.arguments(&maintainer.name.value),
            Kind::Onbuild(onbuild) => self.onbuild(onbuild, &instruction.heredocs),
            Kind::Run(run) => self.run(run),
            Kind::Shell(shell) => self.json(&shell.command),
            Kind::Stopsignal(stopsignal) => self.arguments(&stopsignal.signal.value),
            Kind::User(user) => self.arguments(&user.user.value),
            Kind::Volume(Volume { paths, json }) => self.list(paths, *json),
            Kind::Workdir(workdir) => self.arguments(&workdir.path.value),
        }
    }

    fn run(&mut self, run: &Run) {
        for Mount { fields, .. } in &run.mounts {
            let fields: Vec<_> = fields.iter().map(|field| field.text.as_str()).collect();
            self.flag("mount", Some(&csv(&fields)));
        }
        self.flag(
            "network",
            run.network.as_ref().map(|network| match network.value {
                Network::Default => "default",
                Network::None => "none",
                Network::Host => "host",
            }),
        );
        self.flag(
            "security",
            run.security.as_ref().map(|security| match security.value {
                Security::Sandbox => "sandbox",
                Security::Insecure => "insecure",
            }),
        );
        for device in &run.devices {
            let name = format!("name={}", device.value.name);
            let required = format!("required={}", device.value.required);
            self.flag("device", Some(&csv(&[name.as_str(), required.as_str()])));
        }
        self.command(&run.command);
    }

    fn copy(&mut self, copy: &Copy) {
        self.text_flag("from", copy.from.as_ref());
        self.text_flag("chown", copy.chown.as_ref());
        self.text_flag("chmod", copy.chmod.as_ref());
        self.bool_flag("link", copy.link);
        self.bool_flag("parents", copy.parents);
        self.list_flag("exclude", &copy.exclude);
        self.paths(&copy.paths);
    }

    fn add(&mut self, add: &Add) {
        self.text_flag("chown", add.chown.as_ref());
        self.text_flag("chmod", add.chmod.as_ref());
        self.bool_flag("link", add.link);
        self.bool_flag("keep-git-dir", add.keep_git_dir);
        self.text_flag("checksum", add.checksum.as_ref());
        self.bool_flag("unpack", add.unpack);
        self.list_flag("exclude", &add.exclude);
        self.paths(&add.paths);
    }

    fn paths(&mut self, paths: &Paths) {
        let sources = paths.sources.iter().map(|source| match source {
            PathSource::Path(word) | PathSource::Heredoc { word, .. } => word.clone(),
        });
        self.list(&sources.chain([paths.dest.clone()]).collect::<Vec<_>>(), paths.json);
    }

    fn list(&mut self, words: &[Spanned<Text>], json: bool) {
        let words: Vec<_> = words.iter().map(|word| word.value.clone()).collect();
        if json {
            return self.json(&words);
        }
        let joined = words.join(" ");
        // Words can add up to a JSON array or to a heredoc, unless a blank separates them that both do not know.
        let array = !matches!(json_array(&joined), Ok(None));
        let heredoc = markers(&joined).is_ok_and(|found| found.len() != self.heredocs);
        self.arguments(&if array || heredoc { words.join("\u{b}") } else { joined });
    }

    fn pairs(&mut self, pairs: &[Pair], legacy: bool) {
        let separator = if legacy { " " } else { "=" };
        let pairs = pairs.iter().map(|pair| format!("{}{separator}{}", pair.name.value, pair.value.value));
        self.quoted(&pairs.collect::<Vec<_>>());
    }

    /// Words of ENV, LABEL and ARG.
    fn quoted(&mut self, words: &[String]) {
        let mut joined = words.join(" ");
        if joined.ends_with(char::is_whitespace) {
            // An escaped blank at the end survives only in front of another escape, which is dropped.
            joined.push(self.escape.char());
        }
        self.arguments(&joined);
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Shell(text) => self.arguments(&text.value),
            Command::Exec(arguments) => self.json(arguments),
        }
    }

    fn json<S: AsRef<str>>(&mut self, strings: &[S]) {
        let quoted = strings.iter().map(|string| serde_json::Value::from(string.as_ref()).to_string());
        self.word(&format!("[{}]", quoted.collect::<Vec<_>>().join(", ")));
    }

    fn healthcheck(&mut self, healthcheck: &Healthcheck) {
        let Healthcheck::Cmd { command, timing } = healthcheck else { return self.word("NONE") };
        for (name, nanoseconds) in [
            ("interval", timing.interval),
            ("timeout", timing.timeout),
            ("start-period", timing.start_period),
            ("start-interval", timing.start_interval),
        ] {
            self.flag(name, (nanoseconds != 0).then(|| format!("{nanoseconds}ns")).as_deref());
        }
        self.flag("retries", (timing.retries != 0).then(|| timing.retries.to_string()).as_deref());
        self.word("CMD");
        match command {
            Command::Shell(text) => self.word(&text.value),
            Command::Exec(arguments) => self.json(arguments),
        }
    }

    fn onbuild(&mut self, onbuild: &Onbuild, heredocs: &[Heredoc]) {
        let head = onbuild.trigger.len() - bodies_length(heredocs);
        self.word(&onbuild.trigger[..head]);
    }
}

/// Fields as one line of comma-separated values.
fn csv(fields: &[&str]) -> String {
    let quote = |field: &&str| match field.contains([',', '"']) || (field.is_empty() && fields.len() == 1) {
        true => format!("\"{}\"", field.replace('"', "\"\"")),
        false => (*field).to_owned(),
    };
    fields.iter().map(quote).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests;
