//! Builds, through the program.

use crate::support::Sandbox;
use crate::support::archive::Image;

const HELLO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/hello");

fn done(status: &str, instructions: &[&str]) -> Vec<(String, String)> {
    instructions.iter().map(|i| ((*i).to_owned(), status.to_owned())).collect()
}

#[test]
fn the_first_command_of_the_readme() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.rbuild(&["-t", "hello", HELLO]).succeeded();
    let want = "Hello, world! This image was built and run by rbuild.\n";
    sandbox.rbuild(&["run", "--rm", "hello"]).succeeded().printing(want);
    sandbox.rbuild(&["-t", "hello:you", "--build-arg", "NAME=you", HELLO]).succeeded();
    sandbox.rbuild(&["run", "--rm", "hello:you"]).succeeded().printing(&want.replace("world", "you"));
}

#[test]
fn the_second_build_is_cached_and_the_same() {
    let Some(sandbox) = Sandbox::with_containers() else { return };
    sandbox.write("file", "content");
    let dockerfile = "FROM busybox\nCOPY file /file\nRUN cat /file > /copy\nWORKDIR /work\nENV A=b\n";
    let steps = ["COPY file /file", "RUN cat /file > /copy", "WORKDIR /work"];
    let first = sandbox.build(dockerfile, &["-t", "x", "--progress=json"]).succeeded();
    assert_eq!(first.steps(), done("done", &steps));
    let saved = sandbox.rbuild(&["save", "x"]).succeeded().bytes;
    let second = sandbox.build(dockerfile, &["-t", "x", "--progress=json"]).succeeded();
    assert_eq!(second.steps(), done("cached", &steps));
    assert_eq!(sandbox.rbuild(&["save", "x"]).succeeded().bytes, saved);
    let image = Image::only(&saved);
    assert_eq!((image.text("file"), image.text("copy")), ("content".to_owned(), "content".to_owned()));
    let third = sandbox.build(dockerfile, &["--no-cache", "--progress=json"]).succeeded();
    assert!(third.steps().contains(&("RUN cat /file > /copy".into(), "done".into())), "{third}");
}

#[test]
fn ids_for_scripts() {
    let sandbox = Sandbox::new();
    let outcome = sandbox
        .build("FROM scratch\nLABEL a=b\n", &["-q", "--iidfile", "id", "-t", "a", "-t", "b:2"])
        .succeeded();
    assert_eq!(outcome.stderr, "", "{outcome}");
    let id = outcome.stdout.trim();
    assert_eq!(std::fs::read_to_string(sandbox.path("id")).expect("the file"), id);
    for name in ["a:latest", "b:2"] {
        sandbox
            .rbuild(&["inspect", "-f", "{{.Id}} {{.Config.Labels.a}}", name])
            .succeeded()
            .printing(&format!("{id} b\n"));
    }
}

#[test]
fn a_dockerfile_from_standard_input_or_elsewhere() {
    let sandbox = Sandbox::new();
    sandbox.write("context/file", "x");
    let dockerfile = b"FROM scratch\nCOPY file /file\n";
    sandbox.rbuild_with_input(&["build", "-t", "a", "-f", "-", "context"], dockerfile).succeeded();
    sandbox.write("other/My.Dockerfile", dockerfile);
    sandbox.rbuild(&["build", "-t", "b", "-f", "other/My.Dockerfile", "context"]).succeeded();
    let id = |name| sandbox.rbuild(&["inspect", "-f", "{{.RootFS.Layers}}", name]).succeeded().stdout;
    assert_eq!(id("a"), id("b"));
    sandbox.rbuild_with_input(&["build", "-t", "c", "-"], b"FROM scratch\nLABEL x=y\n").succeeded();
    let mut tar = tar::Builder::new(Vec::new());
    tar.append_path_with_name(sandbox.path("context/file"), "file").expect("an entry");
    tar.append_path_with_name(sandbox.path("other/My.Dockerfile"), "Dockerfile").expect("an entry");
    let archive = tar.into_inner().expect("an archive");
    sandbox.rbuild_with_input(&["build", "-t", "d", "-"], &archive).succeeded();
    let image = Image::only(&sandbox.rbuild(&["save", "d"]).succeeded().bytes);
    assert_eq!(image.text("file"), "x");
}

#[test]
fn outputs() {
    let sandbox = Sandbox::new();
    sandbox.write("file", "content");
    let dockerfile = "FROM scratch\nCOPY file /dir/file\n";
    sandbox
        .build(dockerfile, &["-t", "x", "-o", "type=docker,dest=docker.tar", "-o", "type=local,dest=out"])
        .succeeded();
    let image = Image::only(&std::fs::read(sandbox.path("docker.tar")).expect("the archive"));
    assert_eq!((image.names, image.layers.len()), (vec!["x:latest".to_owned()], 1));
    assert_eq!(std::fs::read_to_string(sandbox.path("out/dir/file")).expect("the file"), "content");
    let files = sandbox.build(dockerfile, &["-o", "-"]).succeeded().bytes;
    let mut names = Vec::new();
    for entry in tar::Archive::new(&files[..]).entries().expect("an archive") {
        names.push(entry.expect("an entry").path().expect("a name").display().to_string());
    }
    assert_eq!(names.iter().filter(|n| n.ends_with("dir/file")).count(), 1, "{names:?}");
}
