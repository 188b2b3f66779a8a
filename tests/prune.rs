//! `system df`, `system prune`, `image prune` and `fsck`.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{BUSYBOX, Outcome, Sandbox};

const DOCKERFILE: &str = "FROM busybox\nCOPY file /file\n";

/// A store with `busybox`, and the image `x` with a layer more.
fn sandbox() -> Sandbox {
    let sandbox = Sandbox::with_busybox();
    sandbox.write("file", "content");
    sandbox.build(DOCKERFILE, &["-t", "x"]).succeeded();
    sandbox
}

fn layers(sandbox: &Sandbox) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(sandbox.store().join("v1/layers")).expect("layers");
    entries.map(|entry| entry.expect("an entry").path()).collect()
}

fn is_cached(sandbox: &Sandbox) -> bool {
    let built = sandbox.build(DOCKERFILE, &["-t", "x", "--progress=json"]).succeeded();
    built.steps() == [("COPY file /file".to_owned(), "cached".to_owned())]
}

#[test]
fn df_adds_up() {
    let sandbox = sandbox();
    // Downloads, repositories and cache mounts take room, too, and a file of several names takes it once.
    for name in ["git/a/repo.git/pack", "http/b/body-1", "latest/c", "cache-mounts/d/e", "unheard-of/f"] {
        let path = sandbox.store().join("v1").join(name);
        std::fs::create_dir_all(path.parent().expect("it is in a folder")).expect("folders");
        std::fs::write(&path, vec![7; 300_000]).expect("a file");
        std::fs::hard_link(&path, path.with_extension("again")).expect("a link");
    }
    let rows = sandbox.rbuild(&["system", "df", "--format", "json"]).succeeded().stdout;
    let rows: Vec<Value> = rows.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let kinds: Vec<&str> = rows.iter().filter_map(|row| row["Type"].as_str()).collect();
    assert_eq!(kinds, ["Images", "Containers", "Local Volumes", "Build Cache"]);
    assert_eq!(rows[0]["TotalCount"], "2");
    let bytes = |text: &str| {
        let digits = text.trim_end_matches(char::is_alphabetic);
        let factor = match &text[digits.len()..] {
            "B" => 1.0,
            "kB" => 1e3,
            "MB" => 1e6,
            other => panic!("{other}"),
        };
        digits.parse::<f64>().expect("a number") * factor
    };
    let sum: f64 = rows.iter().map(|row| bytes(row["Size"].as_str().expect("text"))).sum();
    let mut du = std::process::Command::new("du");
    let du =
        du.args(["-s", "--block-size=1"]).arg(sandbox.store().join("v1")).output().expect("du starts").stdout;
    let du = String::from_utf8_lossy(&du).split_whitespace().next().expect("a number").parse::<f64>();
    let du = du.expect("a number");
    // Four digits of each size are shown; a lease and a lock may come and go.
    assert!((sum - du).abs() < du * 0.01 + 8192.0, "{sum} and {du}: {rows:#?}");
    let details = sandbox.rbuild(&["system", "df", "-v"]).succeeded().stdout;
    for title in ["Images space usage:", "Containers space usage:", "x:latest", "Build cache usage:"] {
        assert!(details.contains(title), "{title}\n{details}");
    }
    let cache = cache_of(&sandbox);
    let of = |description: &str| {
        cache.iter().find(|item| item["Description"] == description).unwrap_or_else(|| panic!("{cache:#?}"))
    };
    assert_eq!(of("COPY file /file")["NeededBy"], serde_json::json!(["image x:latest"]));
    for (description, kind) in [("repository", "source.git.checkout"), ("download", "source.http")] {
        assert_eq!(of(description)["CacheType"], kind);
        assert!(of(description)["Bytes"].as_u64().is_some_and(|bytes| (300_000..330_000).contains(&bytes)));
    }
}

/// The pieces of the build cache.
fn cache_of(sandbox: &Sandbox) -> Vec<Value> {
    let facts = sandbox.rbuild(&["system", "df", "-v", "--format", "json"]).succeeded().stdout;
    let facts: Value = serde_json::from_str(&facts).expect("JSON");
    let mut all = facts["BuildCache"].as_array().expect("a list").clone();
    // A program for tests remembers copies of any size.
    all.retain(|item| item["Description"] != "what a COPY copied last");
    all
}

/// Makes a file of so many kilobytes a layer that no image has.
fn only_cached(sandbox: &Sandbox, name: &str, kilobytes: usize) -> Outcome {
    sandbox.write(name, vec![u8::try_from(kilobytes % 251).expect("small"); kilobytes * 1000]);
    let output = format!("type=local,dest={}", sandbox.path(&format!("out-{name}")));
    sandbox.build(&format!("FROM busybox\nCOPY {name} /\n"), &["--progress=plain", "-o", &output]).succeeded()
}

fn descriptions(sandbox: &Sandbox) -> Vec<String> {
    let text = |item: &Value| item["Description"].as_str().expect("text").to_owned();
    let mut all: Vec<String> = cache_of(sandbox).iter().map(text).collect();
    all.sort();
    all
}

#[test]
fn the_cache_is_pruned_by_age_size_and_filter() {
    let sandbox = sandbox();
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        only_cached(&sandbox, name, 200 + number);
    }
    let path = sandbox.store().join("v1/http/1234");
    std::fs::create_dir_all(&path).expect("a folder");
    let copy = |name: &str| format!("COPY {name} /");
    let all = [copy("a"), copy("b"), copy("c"), "COPY file /file".to_owned(), "download".to_owned()];
    assert_eq!(descriptions(&sandbox), all);
    let prune = |args: &[&str]| sandbox.rbuild(&[&["cache", "prune", "-f"], args].concat());
    prune(&["--filter", "until=1h"]).succeeded().printing("Total reclaimed space: 0B\n");
    prune(&["--keep-storage", "10MB"]).succeeded().printing("Total reclaimed space: 0B\n");
    prune(&["--filter", "type=nothing"]).ended_with(125).saying("exec.cachemount");
    prune(&["--max-used-space", "much"]).ended_with(125);
    prune(&["--filter", "type=source.http"]).succeeded();
    assert_eq!(descriptions(&sandbox), all[..4]);
    // As if `b` had not been used for a day.
    let key = cache_of(&sandbox).into_iter().find(|item| item["Description"] == copy("b")).expect("b")["ID"]
        .clone();
    let record = sandbox.store().join("v1/records").join(key.as_str().expect("text"));
    let yesterday = std::time::SystemTime::now() - std::time::Duration::from_secs(25 * 3600);
    std::fs::File::open(record).and_then(|file| file.set_modified(yesterday)).expect("a time");
    for entry in std::fs::read_dir(sandbox.store().join("v1/builds")).expect("builds") {
        std::fs::remove_file(entry.expect("an entry").path()).expect("it can be removed");
    }
    let said = prune(&["--max-used-space", "500kB", "--verbose"]).succeeded().stdout;
    assert!(said.contains("COPY … /"), "{said}");
    assert_eq!(cache_of(&sandbox).len(), 3, "{said}");
    assert!(!cache_of(&sandbox).iter().any(|item| item["ID"] == key), "the oldest went");
    assert!(is_cached(&sandbox), "what an image needs stays");
    prune(&[]).succeeded();
    assert_eq!(descriptions(&sandbox), ["COPY file /file"]);
    prune(&["--all"]).succeeded();
    assert_eq!(descriptions(&sandbox), [""; 0]);
    sandbox.rbuild(&["fsck"]).succeeded();
    assert!(!is_cached(&sandbox));
}

#[test]
fn a_budget_is_kept_without_being_asked() {
    let sandbox = Sandbox::with_busybox();
    let config = sandbox.home().join(".config/rbuild");
    std::fs::create_dir_all(&config).expect("a folder");
    let budget = r#"{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "1MB"}}}"#;
    std::fs::write(config.join("config.json"), budget).expect("a file");
    let of_busybox = layers(&sandbox).len();
    only_cached(&sandbox, "a", 600);
    let second = only_cached(&sandbox, "b", 601).saying("to stay within its budget");
    assert_eq!(layers(&sandbox).len(), of_busybox + 1, "{second}");
    let again = only_cached(&sandbox, "b", 601).saying("CACHED");
    assert!(!again.stderr.contains("budget"), "a build that added nothing looks at nothing");
    sandbox.rbuild(&["inspect", "busybox"]).succeeded();
    std::fs::write(config.join("config.json"), budget.replace("true", "false")).expect("a file");
    only_cached(&sandbox, "c", 602);
    only_cached(&sandbox, "d", 603);
    assert_eq!(layers(&sandbox).len(), of_busybox + 3);
    let rules =
        r#"{"builder": {"gc": {"policy": [{"filter": ["unused-for=9h"]}, {"reservedSpace": "1MB"}]}}}"#;
    std::fs::write(config.join("config.json"), rules).expect("a file");
    only_cached(&sandbox, "e", 604).saying("to stay within its budget");
    assert_eq!(layers(&sandbox).len(), of_busybox + 1);
}

#[test]
fn nothing_is_taken_from_a_build_that_runs() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    let mount = "--mount=type=cache,id=c,target=/c";
    sandbox.write(
        "Dockerfile",
        format!("FROM busybox\nRUN {mount} echo 1 > /c/f && echo ready && sleep 2 && cat /c/f\n"),
    );
    let mut child = sandbox
        .command(&["build", "--progress=plain", "-t", "new", "."])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("rbuild starts");
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stderr.take().expect("a pipe")));
    assert!(lines.any(|line| line.expect("text").ends_with(" ready")), "the step runs");
    sandbox.rbuild(&["system", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["inspect", "busybox"]).succeeded();
    assert!(lines.all(|line| line.is_ok()));
    assert!(child.wait().expect("it ends").success());
    sandbox.rbuild(&["inspect", "new"]).succeeded();
    sandbox.rbuild(&["fsck"]).succeeded();
}

#[test]
fn what_is_needed_is_not_pruned() {
    let sandbox = sandbox();
    let before = layers(&sandbox).len();
    sandbox.rbuild(&["system", "prune", "-f"]).succeeded();
    assert_eq!(layers(&sandbox).len(), before);
    // The cache alone keeps layers, too.
    sandbox.rbuild(&["rmi", "x"]).succeeded();
    sandbox.rbuild(&["system", "prune", "--force"]).succeeded();
    assert!(is_cached(&sandbox));
    sandbox.rbuild_with_input(&["system", "prune", "-a"], b"n\n").succeeded().saying("all build cache");
    assert!(is_cached(&sandbox), "n means no");
    sandbox.rbuild(&["system", "prune", "-a", "-f"]).succeeded();
    assert!(layers(&sandbox).is_empty());
    sandbox.rbuild(&["images", "-q"]).succeeded().printing("");
    sandbox.rbuild(&["fsck"]).succeeded();
}

#[test]
fn what_runs_is_not_pruned() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("file", "content");
    let done = std::sync::atomic::AtomicBool::new(false);
    let build = |which: usize| {
        for round in 0..4 {
            let dockerfile = format!(
                "FROM base AS made\nCOPY file /file\nRUN sleep 0.05; echo {which} {round} > /made\n\
                 RUN cat /file /made > /both\nFROM base\nCOPY --from=made /both /both\n\
                 RUN --mount=type=bind,from=made,target=/made cat /made/made >> /both\n"
            );
            let output = format!("--output=type=docker,dest=x{which}.tar");
            let base = format!("--build-context=base={BUSYBOX}");
            let args = ["build", "-q", &output, &base, "-f", "-", "."];
            sandbox.rbuild_with_input(&args, dockerfile.as_bytes()).succeeded();
        }
    };
    std::thread::scope(|scope| {
        let builds = [scope.spawn(|| build(0)), scope.spawn(|| build(1))];
        let prune = scope.spawn(|| {
            let mut rounds = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                sandbox.rbuild(&["system", "prune", "-af"]).succeeded();
                rounds += 1;
            }
            rounds
        });
        let ended: Vec<_> = builds.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "a build failed");
        assert!(prune.join().expect("prune succeeds") > 0);
    });
    sandbox.rbuild(&["fsck"]).succeeded();
    for which in 0..2 {
        let image = std::fs::read(sandbox.path(&format!("x{which}.tar"))).expect("the image");
        let both = format!("content{which} 3\n{which} 3\n");
        assert_eq!(crate::support::archive::Image::only(&image).text("both"), both);
    }
}

#[test]
fn containers_keep_their_image() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.rbuild(&["run", "--name", "kept", "busybox", "true"]).succeeded();
    sandbox.rbuild(&["run", "--name", "kept", "busybox", "true"]).ended_with(125).saying("already in use");
    sandbox.rbuild(&["image", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["run", "--rm", "busybox", "true"]).succeeded();
    sandbox.rbuild(&["system", "prune", "-af"]).succeeded();
    sandbox.rbuild(&["run", "--rm", "busybox", "true"]).ended_with(125).saying("Unable to find image");
}

#[test]
fn fsck_finds_and_removes_what_is_broken() {
    let sandbox = sandbox();
    sandbox.rbuild(&["fsck"]).succeeded().printing("the store is healthy\n");
    let of_x = layers(&sandbox).into_iter().map(|layer| layer.join("fs/file")).find(|file| file.exists());
    std::fs::write(of_x.expect("the layer of x"), "CONTENT").expect("it can be written");
    let found = sandbox.rbuild(&["fsck"]).ended_with(1).stdout;
    assert!(found.contains("are not those that were stored"), "{found}");
    sandbox.rbuild(&["fsck", "--repair"]).succeeded();
    sandbox.rbuild(&["fsck"]).succeeded().printing("the store is healthy\n");
    // The image that needed the layer is gone, the other is not, and the step is made again.
    let names = sandbox.rbuild(&["images", "--format", "{{.Repository}}"]).succeeded().stdout;
    assert_eq!(names, "busybox\n");
    assert!(!is_cached(&sandbox));
}
