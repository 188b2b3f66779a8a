use crate::cancel::Cancel;
use std::path::Path;
use std::process::Command;

use rbuild_image::layer::Flavour;
use rbuild_image::store::Store;

use super::{Git, GitUrl};

/// A repository with two commits, a branch and a tag; None without git.
struct Repository {
    dir: tempfile::TempDir,
    first: String,
    second: String,
}

fn git(dir: &Path, args: &[&str]) -> String {
    let identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "init.defaultBranch=main"];
    let mut command = Command::new("git");
    command.args(identity).args(["-c", "tag.gpgSign=false", "-c", "commit.gpgSign=false"]).args(args);
    command.current_dir(dir).env("GIT_COMMITTER_DATE", "1000000000 +0000");
    let output = command.output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Repository {
    fn make() -> Option<Self> {
        if Command::new("git").arg("--version").output().is_err() {
            eprintln!("SKIP there is no git here");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let work = dir.path().join("work");
        std::fs::create_dir_all(work.join("sub")).unwrap();
        git(&work, &["init", "-q"]);
        std::fs::write(work.join("file"), "one\n").unwrap();
        std::fs::write(work.join("sub/inner"), "inner\n").unwrap();
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(work.join("sub/inner"), executable).unwrap();
        git(&work, &["add", "."]);
        git(&work, &["commit", "-q", "-m", "first"]);
        let first = git(&work, &["rev-parse", "HEAD"]);
        git(&work, &["tag", "-a", "-m", "tag", "v1"]);
        std::fs::write(work.join("file"), "two\n").unwrap();
        git(&work, &["commit", "-q", "-a", "-m", "second"]);
        let second = git(&work, &["rev-parse", "HEAD"]);
        Some(Self { dir, first, second })
    }

    fn git(&self) -> Git {
        Git::from_folders(Store::open(&self.dir.path().join("store"), Flavour::User).unwrap())
    }

    /// Its address, with something behind it.
    fn url(&self, rest: &str) -> GitUrl {
        GitUrl::parse(&format!("{}{rest}", self.dir.path().join("work").display())).unwrap()
    }
}

#[test]
fn references_lead_to_commits() {
    let Some(repository) = Repository::make() else { return };
    let git = repository.git();
    let (first, second) = (repository.first.as_str(), repository.second.as_str());
    let at_first = format!("#{first}");
    for (rest, commit, content) in [
        ("", second, "two\n"),
        ("#main", second, "two\n"),
        ("#refs/heads/main", second, "two\n"),
        ("?branch=main", second, "two\n"),
        ("#v1", first, "one\n"),
        ("?tag=v1", first, "one\n"),
        (&at_first, first, "one\n"),
    ] {
        let checkout = git.checkout(&repository.url(rest)).unwrap();
        assert_eq!((checkout.commit.as_str(), checkout.time), (commit, 1_000_000_000), "{rest}");
        let folder = checkout.folder();
        assert_eq!(std::fs::read_to_string(folder.join("file")).unwrap(), content, "{rest}");
        assert!(!folder.join(".git").exists());
    }
}

#[test]
fn folders_modes_and_the_git_directory() {
    use std::os::unix::fs::PermissionsExt;
    let Some(repository) = Repository::make() else { return };
    let git = repository.git();
    let sub = git.checkout(&repository.url("#main:sub")).unwrap().folder();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&sub), mode(&sub.join("inner"))), (0o755, 0o755));
    let kept = git.checkout(&repository.url("?keep-git-dir=1")).unwrap().folder();
    assert_eq!(self::git(&kept, &["rev-parse", "HEAD"]), repository.second);
    assert_eq!(self::git(&kept, &["status", "--porcelain"]), "");
    assert_eq!(mode(&kept.join("file")), 0o644);
    let dated = git.checkout(&repository.url("?mtime=commit")).unwrap().folder();
    let time = dated.join("file").metadata().unwrap().modified().unwrap();
    assert_eq!(time.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs(), 1_000_000_000);
}

#[test]
fn a_known_commit_needs_no_repository() {
    let Some(repository) = Repository::make() else { return };
    let git = repository.git();
    let url = repository.url(&format!("#{}", repository.second));
    git.checkout(&url).unwrap();
    std::fs::remove_dir_all(repository.dir.path().join("work")).unwrap();
    assert_eq!(git.checkout(&url).unwrap().commit, repository.second);
    assert!(git.checkout(&repository.url("#main")).is_err());
}

#[test]
fn refusals() {
    let Some(repository) = Repository::make() else { return };
    let git = repository.git();
    let text = |rest: &str| git.checkout(&repository.url(rest)).unwrap_err().to_string();
    assert_eq!(text("#nope"), "repository does not contain ref nope");
    assert_eq!(text("#main:nope"), "failed to read the folder \"nope\" of the repository: no such directory");
    let wrong = format!("expected checksum to match {}, got {}", repository.first, repository.second);
    assert_eq!(text(&format!("?checksum={}", repository.first)), wrong);
    let prefix = format!("?checksum={}", &repository.second[..10]);
    assert_eq!(git.checkout(&repository.url(&prefix)).unwrap().commit, repository.second);
}

#[test]
fn a_link_leads_to_folders_of_the_repository_only() {
    let Some(repository) = Repository::make() else { return };
    let work = repository.dir.path().join("work");
    for (target, name) in [("sub", "inside"), ("../../../../../../etc", "outside"), ("/etc", "absolute")] {
        std::os::unix::fs::symlink(target, work.join(name)).unwrap();
    }
    self::git(&work, &["add", "."]);
    self::git(&work, &["commit", "-q", "-m", "links"]);
    let git = repository.git();
    assert!(git.checkout(&repository.url("#main:inside")).unwrap().folder().join("inner").exists());
    for name in ["outside", "absolute"] {
        let error = git.checkout(&repository.url(&format!("#main:{name}"))).unwrap_err().to_string();
        assert!(error.contains("no such directory"), "{error}");
    }
}

#[test]
fn who_waits_for_a_repository_can_be_interrupted() {
    let Some(repository) = Repository::make() else { return };
    let url = repository.url("");
    repository.git().checkout(&url).unwrap();
    let repositories = repository.dir.path().join("store/v1/git");
    let home = std::fs::read_dir(repositories).unwrap().next().unwrap().unwrap().path();
    let busy = std::fs::File::create(home.join("lock")).unwrap();
    busy.lock().unwrap();
    let cancel = Cancel::new();
    let store = Store::open(&repository.dir.path().join("store"), Flavour::User).unwrap();
    let git = Git::from_folders_until(store, cancel.clone());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| git.checkout(&repository.url(&format!("#{}", repository.second))));
        cancel.cancel();
        assert!(waiting.join().unwrap().is_err());
    });
}

#[test]
fn folders_of_this_machine_are_no_remotes() {
    let Some(repository) = Repository::make() else { return };
    let store = Store::open(&repository.dir.path().join("store"), Flavour::User).unwrap();
    let git = Git::new(store, None, Cancel::new());
    let error = git.checkout(&repository.url("")).unwrap_err().to_string();
    assert!(error.contains("transport 'file' not allowed"), "{error}");
}
