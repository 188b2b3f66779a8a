use super::*;

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn an_empty_image_is_written_as_buildkit_writes_it() {
    let config = ImageConfig { architecture: "amd64".into(), os: "linux".into(), ..ImageConfig::default() };
    let expected = r#"{"architecture":"amd64","config":{},"created":null,"history":null,"os":"linux","rootfs":{"type":"layers","diff_ids":null}}"#;
    assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), expected);
}

#[test]
fn a_full_config_has_the_members_in_the_order_of_the_specification() {
    let layer = DiffId(Digest::of(b"layer"));
    let time = Timestamp::new(1_700_000_000, 5);
    let config = ImageConfig {
        architecture: "arm".into(),
        author: "me <me@x>".into(),
        config: ContainerConfig {
            user: "1".into(),
            exposed_ports: strings(&["80/tcp", "53/udp"]).into_iter().collect(),
            env: strings(&["PATH=/bin", "A=x y"]),
            entrypoint: strings(&["/e"]),
            cmd: strings(&["a&b"]),
            volumes: strings(&["/v"]).into_iter().collect(),
            working_dir: "/app".into(),
            labels: [("l".to_owned(), "<m>".to_owned())].into(),
            stop_signal: "SIGINT".into(),
            args_escaped: true,
            healthcheck: Some(Healthcheck {
                test: strings(&["CMD", "true"]),
                interval: 5_000_000_000,
                timeout: 1,
                start_period: 2,
                start_interval: 3,
                retries: 4,
            }),
            on_build: strings(&["RUN x"]),
            shell: strings(&["/bin/sh", "-c"]),
        },
        created: Some(time),
        history: vec![History {
            created: Some(time),
            created_by: "RUN x # buildkit".into(),
            author: "a".into(),
            comment: "buildkit.dockerfile.v0".into(),
            empty_layer: true,
        }],
        os: "linux".into(),
        os_features: strings(&["f"]),
        os_version: "1".into(),
        rootfs: RootFs { kind: LayersKind::Layers, diff_ids: vec![layer] },
        variant: "v7".into(),
    };
    let expected = concat!(
        r#"{"architecture":"arm","author":"me \u003cme@x\u003e","config":{"User":"1","ExposedPorts":{"53/udp":{},"80/tcp":{}},"#,
        r#""Env":["PATH=/bin","A=x y"],"Entrypoint":["/e"],"Cmd":["a\u0026b"],"Volumes":{"/v":{}},"WorkingDir":"/app","#,
        r#""Labels":{"l":"\u003cm\u003e"},"StopSignal":"SIGINT","ArgsEscaped":true,"Healthcheck":{"Test":["CMD","true"],"#,
        r#""Interval":5000000000,"Timeout":1,"StartPeriod":2,"StartInterval":3,"Retries":4},"OnBuild":["RUN x"],"#,
        r#""Shell":["/bin/sh","-c"]},"created":"2023-11-14T22:13:20.000000005Z","history":[{"created":"2023-11-14T22:13:20.000000005Z","#,
        r#""created_by":"RUN x # buildkit","author":"a","comment":"buildkit.dockerfile.v0","empty_layer":true}],"os":"linux","#,
        r#""os.features":["f"],"os.version":"1","rootfs":{"type":"layers","diff_ids":["#,
    );
    let expected = format!("{expected}\"{layer}\"]}},\"variant\":\"v7\"}}");
    assert_eq!(String::from_utf8(config.to_bytes()).unwrap(), expected);
    assert_eq!(ImageConfig::parse(&config.to_bytes()).unwrap(), config);
    assert_eq!(config.id(), ImageId(Digest::of(expected.as_bytes())));
}

#[test]
fn the_configs_of_other_builders_are_read() {
    let docker = br#"{"architecture":"amd64","config":{"Hostname":"","Domainname":"","User":"","AttachStdin":false,"Env":null,
        "Cmd":"old style","Image":"sha256:x","Volumes":null,"WorkingDir":"","Entrypoint":null,"OnBuild":null,"Labels":null,
        "Healthcheck":null,"ExposedPorts":{"80/tcp":{}}},"container":"c","container_config":{"Cmd":["x"]},
        "created":"2024-05-18T09:00:00.5+02:00","docker_version":"20","history":null,"os":"linux",
        "rootfs":{"type":"layers","diff_ids":null},"unknown":[1]}"#;
    let config = ImageConfig::parse(docker).unwrap();
    assert_eq!(config.config.cmd, ["old style"]);
    assert_eq!(config.config.exposed_ports.len(), 1);
    assert_eq!(config.created.unwrap().to_string(), "2024-05-18T09:00:00.5+02:00");
    let bare = ImageConfig::parse(br#"{"config":null,"created":"","rootfs":{}}"#).unwrap();
    assert_eq!(bare, ImageConfig::default());
}

#[test]
fn what_is_not_a_config_is_refused() {
    for bytes in ["", "[]", "{}", r#"{"rootfs":{"type":"other"}}"#, r#"{"rootfs":{"diff_ids":["md5:x"]}}"#] {
        let error = ImageConfig::parse(bytes.as_bytes()).unwrap_err().to_string();
        assert!(error.starts_with("parse image config: "), "{error}");
    }
}

#[test]
fn the_platform_is_read_and_set() {
    let mut config = ImageConfig::default();
    let platform = Platform::new("linux", "arm", Some("7"));
    config.set_platform(&platform);
    assert_eq!(config.platform(), platform);
}
