//! What decides whether a step has to run.
//!
//! A step's key is the BLAKE3 digest of a typed record, [`StepKey`], in its JSON form; the record is stored
//! beside the result, so that a miss can be explained field by field.
//!
//! | field | why it is in | what changes it |
//! |---|---|---|
//! | `format` | a later rbuild may read a record differently | a new version of this module |
//! | `platform` | emulated programs behave differently; only of a RUN, since copying is the same everywhere | `--platform` |
//! | `parent` | a step can read all of the file system it starts from | another *result* of the steps before; their text does not matter |
//! | `run.argv` | what is run | the instruction, SHELL |
//! | `run.env` | the program sees it | ENV, every ARG in scope, the base image's ENV |
//! | `run.workdir`, `run.user` | where and as whom | WORKDIR, USER |
//! | `run.network`, `run.insecure` | what it may reach | `--network`, `--security` |
//! | `run.mounts` | what it sees beside its root; for bind mounts the *content* of what is mounted | the flag; any file below a bind's source |
//! | `run.mounts` of caches | the folder shown, and what a new cache starts with; never what is in it | `id`, `source`, `from`, `uid`, `gid`, `mode`, `sharing`, `ro` |
//! | `run.script` | a heredoc that is a program | its body |
//! | `run.hosts` | names that resolve | `--add-host` (the names, not the addresses) |
//! | `run.hostname` | the program sees it; left out where it is the usual one | `BUILDKIT_SANDBOX_HOSTNAME` |
//! | `run.shm_size` | the program sees it; left out where it is not given | `--shm-size` |
//! | `copy.*` flags | they shape the layer | the instruction |
//! | `copy.origin` | files of a context keep their old times, those of a stage have new ones | `--from` |
//! | `copy.content` | what is copied: names, kinds, modes, owners, links, attributes, data | any of these; never a time |
//! | `copy.sources` | without `content` (URLs, git): what was fetched | the source's answer |
//! | `workdir.*` | path, owner and time of the directory | WORKDIR, USER, SOURCE_DATE_EPOCH |
//!
//! Never in a key: secrets, proxies, the clock, paths and names of the host, process ids, and the text or
//! keys of earlier steps. A `COPY --link` has no `parent`.

mod record;

pub(crate) use record::chmod_text;
pub use record::{
    CopyKey, FORMAT, MountKey, MountKeyKind, Origin, RunKey, RunNetworkKey, SharingKey, StepKey, StepKeyKind,
    StepRecord, WorkdirKey,
};
