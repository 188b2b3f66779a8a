use clap::Parser;

use super::*;
use crate::args::{Cli, Command};

fn settings(typed: &[&str], variables: &[(&str, &str)]) -> Result<BuildSettings, Failure> {
    let cli = Cli::try_parse_from(["rbuild", "build"].iter().chain(typed)).expect("the parser takes it");
    let Command::Build(args) = cli.command else { unreachable!("build was typed") };
    BuildSettings::new(*args, &Environment::of(variables))
}

#[test]
fn sources() {
    let good = settings(&["-f", "-", "dir"], &[]).expect("a Dockerfile on standard input");
    assert_eq!(good.context, ContextSource::Folder("dir".into()));
    assert_eq!(good.dockerfile, DockerfileSource::Stdin);
    assert_eq!(settings(&["-"], &[]).expect("a context on standard input").context, ContextSource::Stdin);
    assert!(settings(&["-f", "-", "-"], &[]).is_err());
    let remote = settings(&["https://example.com/x.git"], &[]).expect("a git repository");
    assert_eq!(remote.context, ContextSource::Remote("https://example.com/x.git".into()));
}

#[test]
fn build_arguments_and_the_epoch() {
    let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
    let environment = [("SOURCE_DATE_EPOCH", "1"), ("X", "y")];
    let got = settings(&["--build-arg", "X", "--build-arg", "NO", "."], &environment).expect("good");
    assert_eq!(got.build_args, [pair("X", "y"), pair("SOURCE_DATE_EPOCH", "1")]);
    let got = settings(&["--build-arg", "SOURCE_DATE_EPOCH=2", "."], &environment).expect("good");
    assert_eq!(got.build_args, [pair("SOURCE_DATE_EPOCH", "2")]);
}

#[test]
fn progress_modes() {
    for (typed, variables, want) in [
        (&["."][..], &[][..], Some(ProgressMode::Plain)),
        (&["-q", "."], &[], Some(ProgressMode::Quiet)),
        (&["-q", "--progress=json", "."], &[], Some(ProgressMode::Json)),
        (&["--progress=rawjson", "."], &[], Some(ProgressMode::Json)),
        (&["--progress=tty", "."], &[], None),
        (&["."], &[("BUILDKIT_PROGRESS", "quiet")], Some(ProgressMode::Quiet)),
        (&["."], &[("BUILDKIT_PROGRESS", "nonsense")], None),
    ] {
        assert_eq!(settings(typed, variables).ok().map(|s| s.progress), want, "{typed:?} {variables:?}");
    }
}

#[test]
fn secrets() {
    let environment = Environment::of(&[("TOKEN", "t")]);
    let value = |id: &str| Some(Secret::Value { id: id.into(), value: b"t".to_vec() });
    let file = |id: &str, path: &str| Some(Secret::File { id: id.into(), path: path.into() });
    for (text, want) in [
        ("id=a,src=f", file("a", "f")),
        ("id=a,type=file,source=f", file("a", "f")),
        ("id=a", file("a", "a")),
        ("id=TOKEN", value("TOKEN")),
        ("id=a,env=TOKEN", value("a")),
        ("id=a,type=env,src=TOKEN", value("a")),
        ("id=a,env=NONE", None),
        ("id=a,src=f,env=TOKEN", None),
        ("src=f", None),
        ("id=a,mode=0400", None),
    ] {
        assert_eq!(secret(text, &environment).ok(), want, "{text}");
    }
}

#[test]
fn hosts_and_networks() {
    let pair = |k: &str, v: &str| Some((k.to_owned(), v.to_owned()));
    for (text, want) in [
        ("a:10.0.0.1", pair("a", "10.0.0.1")),
        ("a=10.0.0.1", pair("a", "10.0.0.1")),
        ("a:::1", pair("a", "::1")),
        ("a:[::1]", pair("a", "::1")),
        ("a", None),
        ("a:b", None),
    ] {
        assert_eq!(host(text).ok(), want, "{text}");
    }
    assert_eq!(settings(&["--network", "none", "."], &[]).ok().map(|s| s.network), Some(Network::None));
    assert!(settings(&["--network", "bridge0", "."], &[]).is_err());
}

#[test]
fn agents_and_entitlements() {
    let environment = Environment::of(&[("SSH_AUTH_SOCK", "/run/agent")]);
    let agent = |id: &str, paths: &[&str]| {
        Some(SshAgent { id: id.into(), paths: paths.iter().map(|p| p.into()).collect() })
    };
    for (text, want) in [
        ("default", agent("default", &["/run/agent"])),
        ("", agent("default", &["/run/agent"])),
        ("a=", agent("a", &["/run/agent"])),
        ("a=/x", agent("a", &["/x"])),
        ("a=k1,k2", agent("a", &["k1", "k2"])),
        ("a=b=c", agent("a", &["b=c"])),
    ] {
        assert_eq!(SshAgent::parse(text, &environment).ok(), want, "{text}");
    }
    assert!(SshAgent::parse("default", &Environment::of(&[])).is_err());

    let allowed = |typed: &[&str]| settings(&[typed, &["."]].concat(), &[]).ok().map(|s| s.allow);
    assert_eq!(allowed(&[]), Some(Entitlements::default()));
    let both = Entitlements { insecure: true, network_host: true };
    assert_eq!(allowed(&["--allow", "security.insecure,network.host"]), Some(both));
    assert_eq!(allowed(&["--allow", "network.host", "--allow=security.insecure"]), Some(both));
    assert_eq!(allowed(&["--allow", "device"]), None);
}

#[test]
fn what_scripts_for_buildx_say() {
    let good = settings(&["--load", "--provenance=false", "--sbom", "false", "--shm-size=1m", "."], &[]);
    assert_eq!(good.ok().and_then(|s| s.shm_size), Some(1 << 20));
    assert!(settings(&["--rm", "--force-rm=true", "."], &[]).is_ok());
    assert!(settings(&["--provenance=mode=max", "."], &[]).is_err());
    assert!(settings(&["--shm-size", "much", "."], &[]).is_err());
}
