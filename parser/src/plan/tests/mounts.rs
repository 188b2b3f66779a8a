use super::*;

fn mounts(flags: &str) -> Vec<Mount> {
    let plan = planned(&format!("FROM busybox AS a\nFROM busybox\nWORKDIR /w\nARG P=/p\nRUN {flags} true"));
    match &plan.steps.last().unwrap().op {
        Op::Run(run) => run.mounts.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn defaults() {
    let at = |target: &str, kind| Mount { target: Some(target.to_owned()), kind };
    let bind = |from, source: &str, writable| MountKind::Bind { from, source: source.to_owned(), writable };
    let cache = |id: &str| MountKind::Cache {
        id: id.to_owned(),
        sharing: Sharing::Shared,
        from: None,
        source: "/".to_owned(),
        readonly: false,
        owner: None,
    };
    let secret = |id: &str, env: Option<&str>| MountKind::Secret {
        id: id.to_owned(),
        env: env.map(str::to_owned),
        required: false,
        mode: 0o400,
        uid: 0,
        gid: 0,
    };
    let ssh = MountKind::Ssh { id: "default".to_owned(), required: false, mode: 0o600, uid: 0, gid: 0 };
    for (flags, expected) in [
        ("--mount=target=x", at("/w/x", bind(Root::MainContext, "/", false))),
        ("--mount=type=bind", at("/w", bind(Root::MainContext, "/", false))),
        ("--mount=target=$P/,source=../s,rw", at("/p", bind(Root::MainContext, "/s", true))),
        ("--mount=from=A,dst=/x,ro=false", at("/x", bind(Root::Base(BaseId(0)), "/", true))),
        ("--mount=type=cache,target=/c/", at("/c", cache("/c"))),
        ("--mount=type=cache,target=/c,id=n", at("/c", cache("n"))),
        ("--mount=type=tmpfs,target=/t,size=1k", at("/t", MountKind::Tmpfs { size: Some(1024) })),
        ("--mount=type=secret,id=a/b", at("/run/secrets/b", secret("a/b", None))),
        ("--mount=type=secret,target=s", at("/w/s", secret("s", None))),
        ("--mount=type=secret,id=s,env=V", Mount { target: None, kind: secret("s", Some("V")) }),
        ("--mount=type=ssh", at("/run/buildkit/ssh_agent.0", ssh)),
    ] {
        assert_eq!(mounts(flags), [expected], "{flags}");
    }
}

#[test]
fn owners_of_caches() {
    for (flags, expected) in
        [("uid=7", Some((7, 0, 0o755))), ("gid=7,mode=0700", Some((0, 7, 0o700))), ("uid=7,source=x", None)]
    {
        let mounts = mounts(&format!("--mount=type=cache,target=/c,{flags}"));
        let MountKind::Cache { owner, .. } = &mounts[0].kind else { panic!("{mounts:?}") };
        assert_eq!(*owner, expected, "{flags}");
    }
}
