//! What decides whether a step has to run.
//!
//! A step's key is the BLAKE3 digest of a typed record, [`StepKey`], in its JSON form; the record is stored
//! beside the result, so that a miss can be explained field by field.
//!
//! | field | why it is in | what changes it |
//! |---|---|---|
//! | `format` | a later rbuild may read a record differently | a new version of this module |
//! | `parent` | a step can read all of the file system it starts from | another *result* of the steps before; their text does not matter. A `COPY --link` has none |
//! | `run.platform` | emulated programs behave differently; copying is the same everywhere | another base image; `--platform` only if it leads to one, so a stage of `$BUILDPLATFORM` is built once for all targets |
//! | `run.argv` | what is run | the instruction, SHELL |
//! | `run.env` | the program sees it | ENV, every ARG in scope, the base image's ENV |
//! | `run.workdir`, `run.user` | where and as whom; names are looked up in `parent` | WORKDIR, USER, those of the base image |
//! | `run.network`, `run.insecure` | what it may reach and do | `--network` of the instruction and of the build; `--security` |
//! | `run.mounts[].target` | where it sees what is mounted | the flag |
//! | `run.mounts[].type` bind: `content`, `writable` | it sees the *content*, wherever that comes from | any file below the source; `rw` |
//! | cache: `id`, `sharing`, `readonly`, `source`, `start`, `owner` | the folder shown, and what a new cache starts with; never what is in it | the flag; files below `from` |
//! | tmpfs: `size` | how much fits | the flag |
//! | secret and ssh: `id`, `env`, `required`, `mode`, `uid`, `gid` | how they are presented; never the value, nor whether there is one | the flag |
//! | `run.script` | a heredoc that is a program | its name and body |
//! | `run.hosts` | names that resolve | `--add-host` (the names, not the addresses) |
//! | `run.hostname` | the program sees it; left out where it is the usual one | `BUILDKIT_SANDBOX_HOSTNAME` |
//! | `run.shm_size` | the program sees it; left out where it is not given | `--shm-size` |
//! | `run.ulimits` | the program meets them; left out where none is given | `--ulimit` |
//! | `copy.add`, `copy.dest`, `copy.chown`, `copy.chmod`, `copy.link`, `copy.parents`, `copy.exclude`, `copy.unpack` | they shape the layer; names of owners are looked up in `parent` | the instruction |
//! | `copy.origin` | files of a context keep their old times, those of a stage have new ones | `--from` |
//! | `copy.content` | what is copied: names, kinds, modes, owners, links, attributes, data; of a git repository the commit | any of these; never a time. `--perm=git` makes modes the same before they are looked at |
//! | `workdir.path`, `workdir.user`, `workdir.epoch` | path, owner and time of the directory | WORKDIR, USER, SOURCE_DATE_EPOCH |
//!
//! What a step can observe, and is in no key:
//!
//! | what | why it is out |
//! |---|---|
//! | secrets, what the SSH agent holds | a key may be shown and exported; a new password makes no other image |
//! | proxies, addresses of `--add-host`, `resolv.conf` | they say how something is reached, not what; BuildKit leaves them out, too |
//! | what is in a cache mount | whoever mounts one says that it does not matter |
//! | modification times, the clock | a checkout sets them to now, and nobody means them |
//! | kernel, processors, memory, limits, cgroup, id maps, being root or not | they are the machine's |
//! | umask, capabilities, system calls allowed, `/etc/hosts` but for `--add-host` | they are always the same; a change of theirs needs a new `format` |
//! | LABEL, CMD and the like, the image's name, `--label` | they are in the image's configuration, which is made anew for each build |
//! | paths of the host, the ignore file, the text of the Dockerfile, keys of earlier steps | only what they lead to counts, and that is in |
//! | `--checksum`, `--allow` | they decide whether the step may happen, not what comes of it |
//!
//! The tests beside this module pin the text of each kind of key: a change of them is a change of the format.

mod record;
#[cfg(test)]
mod tests;

pub(crate) use record::chmod_text;
pub use record::{
    CopyKey, FORMAT, MountKey, MountKeyKind, Origin, RunKey, RunNetworkKey, SharingKey, StepKey, StepKeyKind,
    StepRecord, WorkdirKey,
};
