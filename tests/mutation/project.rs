//! Everything that goes into a build, at random.

use std::collections::BTreeMap;

use super::dice::Dice;
use super::disk::Node;

/// How many base images there are to choose from: plain, with one layer more, with a variable, with a trigger.
pub(super) const BASES: [&str; 4] = [
    "FROM busybox\n",
    "FROM busybox\nRUN echo more > /etc/more\n",
    "FROM busybox\nENV BASE=third\n",
    "FROM busybox\nONBUILD RUN echo triggered > /triggered\n",
];

/// A context, a Dockerfile and a command line.
#[derive(Debug, Clone)]
pub(super) struct Project {
    /// By their paths in the context.
    pub(super) files: BTreeMap<String, Node>,
    /// Lines of the ignore file.
    pub(super) ignored: Vec<String>,
    /// Words of the Dockerfile, by what they are for.
    pub(super) words: BTreeMap<&'static str, String>,
    pub(super) build_args: BTreeMap<&'static str, String>,
    /// `--add-host`, if there is one.
    pub(super) host: Option<String>,
    /// Which of [`BASES`] is called `base`.
    pub(super) base: usize,
    pub(super) chmod: Option<&'static str>,
    pub(super) chown: Option<&'static str>,
    pub(super) link: bool,
    pub(super) exclude: bool,
    pub(super) parents: bool,
    pub(super) offline: bool,
}

/// What this machine and this user allow.
#[derive(Debug, Clone, Copy)]
pub(super) struct Abilities {
    /// Files and processes may belong to others.
    pub(super) owners: bool,
    pub(super) xattrs: bool,
}

impl Project {
    pub(super) fn random(dice: &mut Dice, can: Abilities) -> Self {
        let mut files = BTreeMap::new();
        for number in 0..4 + dice.below(5) {
            let folder = dice.pick(&["", "d/", "d/e/"]);
            let mode = dice.pick(&[0o644, 0o755, 0o600]);
            let data = format!("file {number} {}\n", dice.fresh());
            files.insert(format!("tree/{folder}f{number}"), Node::data(data, mode));
        }
        // Folders never vanish with their last file.
        for folder in ["tree", "tree/d", "tree/d/e", "bound", "bound/deep", "named"] {
            files.insert(format!("{folder}/keep"), Node::data("kept\n", 0o644));
        }
        files.insert("tree/a.skip".into(), Node::data("excluded\n", 0o644));
        files.insert("tree/b.tmp".into(), Node::data("ignored\n", 0o644));
        files.insert("tree/dir".into(), Node::Dir(0o755));
        files.insert("tree/dirlink".into(), Node::Link("d".into()));
        files.insert("tree/hard1".into(), Node::data("hard\n", 0o644));
        files.insert("tree/hard2".into(), Node::Hard("tree/hard1".into()));
        files.insert("tree/link".into(), Node::Link("f0".into()));
        files.insert("bound/file".into(), Node::data(dice.fresh(), 0o644));
        files.insert("bound/deep/file".into(), Node::data(dice.fresh(), 0o644));
        files.insert("named/file".into(), Node::data(dice.fresh(), 0o644));
        files.insert("wild/first.w".into(), Node::data(dice.fresh(), 0o644));
        files.insert("alias".into(), Node::Link("named".into()));
        files.insert("outside".into(), Node::data("nobody copies it\n", 0o644));
        files.insert("archive.tar".into(), Node::data(archive(&dice.fresh()), 0o644));
        let fresh = ["cache", "comment", "dest", "env", "heredoc", "middle", "script", "secret", "workdir"];
        let mut words: BTreeMap<_, _> = fresh.into_iter().map(|word| (word, dice.fresh())).collect();
        words.insert("owner", "0:0".to_owned());
        words.insert("sharing", "shared".to_owned());
        words.insert("tmpfs", "65536".to_owned());
        words.insert("uid", "0".to_owned());
        words.insert("user", "0".to_owned());
        Self {
            files,
            ignored: vec!["**/*.tmp".into(), "Dockerfile".into()],
            words,
            build_args: [("SEEN", dice.fresh()), ("LATE", dice.fresh())].into(),
            host: None,
            base: dice.below(BASES.len()),
            chmod: dice.pick(&[None, Some("0640"), Some("u=rwX,go=rX")]),
            chown: dice.pick(&[None, Some("1:2")]).filter(|_| can.owners),
            link: dice.below(3) == 0,
            exclude: dice.below(2) == 0,
            parents: dice.below(2) == 0,
            offline: dice.below(2) == 0,
        }
    }

    pub(super) fn dockerfile(&self) -> String {
        let word = |name: &str| &self.words[name];
        let flag = |on: bool, text: &str| if on { format!("{text} ") } else { String::new() };
        let given = |name: &str, value: Option<&str>| {
            value.map(|value| format!("--{name}={value} ")).unwrap_or_default()
        };
        let flags = given("chmod", self.chmod)
            + &given("chown", self.chown)
            + &flag(self.link, "--link")
            + &flag(self.exclude, "--exclude=*.skip");
        let network = flag(self.offline, "--network=none");
        let parents = flag(self.parents, "--parents");
        format!(
            "# {comment}\n\
             FROM base AS made\n\
             COPY {flags}tree /tree\n\
             RUN find /tree | sort > /list; wc -l < /list > /count; chown {owner} /count; : {middle}\n\
             FROM base AS last\n\
             COPY --from=made /count /count\n\
             ARG SEEN\n\
             ENV SET={env}\n\
             RUN {network}--mount=type=bind,source=bound,target=/bound \
             --mount=type=bind,from=made,source=/tree,target=/made \
             --mount=type=cache,id={cache},sharing={sharing},target=/cache \
             --mount=type=secret,id=outside,target=/run/{secret} --mount=type=tmpfs,target=/scratch,size={tmpfs} \
             find /bound /made -type f | sort | xargs cat > /seen; echo $SEEN $SET >> /seen; \
             chmod 666 /seen; touch /cache/x /scratch/x; test -s /run/v*\n\
             COPY <<EOF /heredoc\n{heredoc}\nEOF\n\
             WORKDIR /work/{workdir}\n\
             USER {user}:{user}\n\
             RUN id -u >> /seen; pwd >> /seen\n\
             USER 0\n\
             RUN echo app:x:{uid}:{uid}::/:/bin/sh >> /etc/passwd\n\
             COPY --chown=app --from=made /count /app\n\
             COPY --from=made /tree /all/{dest}\n\
             COPY --link --from=named / /named\n\
             COPY alias /aliased\n\
             ADD archive.tar /unpacked/\n\
             COPY wild/*.w /wild/\n\
             COPY {parents}bound/deep/file /par/\n\
             RUN <<SCRIPT\n#!/bin/sh\necho {script} > /script\nSCRIPT\n\
             ARG LATE\n\
             LABEL late=$LATE\n",
            comment = word("comment"),
            owner = word("owner"),
            middle = word("middle"),
            env = word("env"),
            cache = word("cache"),
            sharing = word("sharing"),
            secret = word("secret"),
            tmpfs = word("tmpfs"),
            heredoc = word("heredoc"),
            workdir = word("workdir"),
            user = word("user"),
            uid = word("uid"),
            dest = word("dest"),
            script = word("script"),
        )
    }

    /// Its files as they lie on the disk.
    pub(super) fn on_disk(&self) -> BTreeMap<String, Node> {
        let mut all = self.files.clone();
        all.insert("Dockerfile".into(), Node::data(self.dockerfile(), 0o644));
        all.insert(".dockerignore".into(), Node::data(self.ignored.join("\n") + "\n", 0o644));
        all
    }

    /// The path of some file of `tree` that is copied.
    pub(super) fn a_file(&self, dice: &mut Dice) -> String {
        let is_it = |(path, node): &(&String, &Node)| {
            let plain = path.starts_with("tree/") && path.contains("/f") && matches!(node, Node::Data { .. });
            plain && !self.ignored.contains(path)
        };
        let paths: Vec<&String> = self.files.iter().filter(is_it).map(|(path, _)| path).collect();
        match paths[..] {
            // All are gone by now, or something else.
            [] => "tree/keep".to_owned(),
            _ => dice.pick(&paths).clone(),
        }
    }

    /// The file at a path that has one.
    pub(super) fn file(&mut self, path: &str) -> (&mut Vec<u8>, &mut u32, &mut Option<String>) {
        match self.files.get_mut(path) {
            Some(Node::Data { data, mode, note }) => (data, mode, note),
            other => panic!("{path} is {other:?}"),
        }
    }
}

/// A tar of one file.
pub(super) fn archive(content: &str) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.set_mode(0o640);
    header.set_uid(7);
    header.set_gid(8);
    header.set_mtime(1_136_239_445);
    builder.append_data(&mut header, "folder/packed", content.as_bytes()).expect("an entry");
    builder.into_inner().expect("an archive")
}
