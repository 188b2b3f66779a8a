use std::fmt::Write;
use std::time::Instant;

use super::*;

#[test]
fn titles_and_positions() {
    let plan = planned(
        "FROM busybox AS Build\nRUN a \\\n  b\nWORKDIR /\nFROM scratch\nworkdir /x\ncopy --from=build /a  /b\nENV A=1",
    );
    let steps: Vec<_> = plan
        .steps
        .iter()
        .map(|step| (step.stage.as_str(), step.position, step.text.as_str(), step.lines.first))
        .collect();
    assert_eq!(
        steps,
        [
            ("build", (2, 3), "RUN a   b", 2),
            ("stage-1", (1, 2), "WORKDIR /x", 6),
            ("stage-1", (2, 2), "COPY --from=build /a  /b", 7),
        ]
    );
    assert_eq!(plan.steps[0].parent, Root::Base(BaseId(0)));
    assert_eq!(plan.steps[1].parent, Root::Scratch);
    assert_eq!(plan.target.root, Root::Step(StepId(2)));
    assert_eq!(plan.target.base, None);
}

#[test]
fn what_a_stage_is_after_one_of_its_steps() {
    let file = parse(
        "FROM busybox AS base\nARG V=1\nRUN a\nENV E=2\nUSER u\nCMD [\"early\"]\nRUN b\nCMD [\"late\"]\n\
         FROM base\nSHELL [\"bash\", \"-c\"]\nWORKDIR /w\nENV F=3\nRUN c\nUSER other",
    );
    let options = options();
    let at = |step| moment(&file, &options, &mut FakeBases::new(), StepId(step)).unwrap();
    let env = |step| at(step).unwrap().env.pairs().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(env(0), ["PATH", "V"]);
    let second = at(1).unwrap();
    assert_eq!((second.config.user.as_str(), &second.config.cmd), ("u", &Some(vec!["early".to_owned()])));
    assert_eq!(second.shell, ["/bin/sh", "-c"]);
    let last = at(3).unwrap();
    assert_eq!((last.config.working_dir.as_str(), &last.config.cmd), ("/w", &Some(vec!["late".to_owned()])));
    assert_eq!(last.config.env[1..], ["E=2", "F=3"]);
    assert_eq!((last.config.user.as_str(), last.shell.join(" ").as_str()), ("u", "bash -c"));
    assert!(at(4).is_none());
}

#[test]
fn copies() {
    let plan = planned(
        "FROM busybox\nWORKDIR /w\nARG F=f\nADD --link <<X $F https://h/x.git#main http://h/f ../up d/\nbody $F\nX\n",
    );
    let Op::Copy(copy) = &plan.steps[1].op else { panic!("{plan:?}") };
    assert!(copy.add && copy.link);
    assert_eq!(copy.dest, "/w/d/");
    assert_eq!(
        copy.sources,
        [
            CopySource::Path("/f".to_owned()),
            CopySource::Git("https://h/x.git#main".to_owned()),
            CopySource::Http("http://h/f".to_owned()),
            CopySource::Path("/up".to_owned()),
            CopySource::Inline(InlineFile { name: "X".to_owned(), data: "body f\n".to_owned() }),
        ]
    );
    assert_eq!(
        plan.target.history.last().unwrap().created_by.to_string(),
        "ADD f https://h/x.git#main http://h/f ../up <<X d/ # buildkit"
    );
}

#[test]
fn programs_are_of_the_base_whatever_the_target() {
    let options = Options { platform: Some("linux/arm64".to_owned()), ..options() };
    let text =
        "FROM --platform=$BUILDPLATFORM busybox AS cross\nRUN make\nFROM scratch\nCOPY --from=cross /a /a";
    let plan = try_plan(text, &options).unwrap();
    assert_eq!(
        (plan.steps[0].platform.as_str(), plan.target.platform.as_str()),
        ("linux/amd64", "linux/arm64")
    );
}

#[test]
fn environments() {
    let options = Options {
        build_args: [("http_proxy", "low"), ("HTTP_PROXY", "up"), ("no_proxy", ""), ("G", "g")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..options()
    };
    let plan = try_plan("FROM busybox\nENV X=1 Y=2\nARG X=3 G\nRUN env\nUSER 7\nRUN id", &options).unwrap();
    let runs: Vec<&Run> = plan
        .steps
        .iter()
        .map(|step| if let Op::Run(run) = &step.op { run } else { panic!("{step:?}") })
        .collect();
    let names: Vec<String> =
        runs[0].env.iter().skip(1).map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(names, ["Y=2", "X=3", "G=g"]);
    let proxies: Vec<&str> = runs[0].proxy_env.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(proxies, ["HTTP_PROXY", "http_proxy"]);
    assert_eq!(runs[0].proxy_env[0].1, "low");
    assert_eq!((runs[0].workdir.as_str(), runs[1].user.as_str()), ("/", "7"));
    assert_eq!(plan.target.config.env.last().unwrap(), "Y=2");
}

#[test]
fn triggers_of_base_images() {
    let mut bases = FakeBases::new();
    let on_build = ["COPY --from=lib /l /l", "ENV A=$B"].map(str::to_owned).to_vec();
    bases.images.insert("parent".to_owned(), Config { on_build, ..Config::default() });
    let file = parse("FROM busybox AS lib\nRUN make\nFROM parent\nARG B\nRUN b");
    let plan = plan(&file, &options(), &mut bases).unwrap().plan;
    let texts: Vec<_> =
        plan.steps.iter().map(|step| (step.text.as_str(), step.onbuild, step.lines.first)).collect();
    assert_eq!(texts, [("RUN make", false, 2), ("COPY --from=lib /l /l", true, 3), ("RUN b", false, 5)]);
    assert!(plan.target.config.on_build.is_empty());
}

#[test]
fn bases_are_asked_for_only_when_needed() {
    let mut bases = FakeBases::new();
    let file = parse(
        "FROM nowhere AS a\nFROM busybox AS b\nFROM busybox\nCOPY --from=b /x /y\nCOPY --from=busybox /x /z",
    );
    plan(&file, &options(), &mut bases).unwrap();
    assert_eq!(bases.asked, ["busybox"]);
}

/// Each of these would take minutes if what is known were copied for each step or stage, or written out each time.
#[test]
fn large_files_take_time_in_proportion() {
    let many = 10_000;
    let lines = |line: &dyn Fn(usize) -> String| (0..many).map(line).collect::<String>();
    let env = lines(&|n| format!("ENV E{n}=x L=$E{n}\n"));
    for (what, file) in [
        ("variables", lines(&|n| format!("ENV E{n}=x\nRUN a\n"))),
        ("one variable", lines(&|n| format!("ENV E={n}\nRUN a\n"))),
        ("arguments", lines(&|n| format!("ARG A{n}=x\nRUN a\n"))),
        ("undefined variables", env.clone() + &lines(&|n| format!("USER $E_{n}\n"))),
        ("stages", format!("{env}{}", lines(&|n| format!("FROM s{n} AS s{}\nENV S{n}=x\nRUN a\n", n + 1)))),
        ("labels", lines(&|n| format!("LABEL L{n}=x\nFROM s{n} AS s{}\n", n + 1))),
        ("copies", lines(&|n| format!("FROM busybox AS s{}\nCOPY --from=s{n} a b\n", n + 1))),
        ("one script", format!("COPY <<E /a\n{}E\n", lines(&|n| format!("$E{n}\n")))),
    ] {
        let plan = planned(&format!("FROM busybox AS s0\n{file}"));
        let last = plan.target.history.last().map(|entry| entry.created_by.to_string());
        assert!(last.is_none_or(|last| !last.is_empty()), "{what}");
    }
    let doubled = format!("FROM busybox\nENV A=aaaaaaaa\n{}", "ENV A=$A$A\n".repeat(many));
    assert_eq!(
        try_plan(&doubled, &options()).unwrap_err().message,
        "failed to process \"$A$A\": variables expand to too much text"
    );
}

#[test]
fn the_history_names_arguments_with_their_values() {
    let file = "FROM busybox AS a\nARG A\nARG B=1\nARG C=$B\nRUN x\nENV B=2\nRUN y\nFROM a AS b\nARG B=3\nRUN z\nENV A=4\n\
                FROM b AS c\nRUN [\"w\"]";
    let runs = |target: &str| -> Vec<String> {
        let options = Options { target: Some(target.to_owned()), ..options() };
        let entries = try_plan(file, &options).unwrap().target.history;
        entries
            .iter()
            .filter(|entry| entry.layer.is_some())
            .map(|entry| entry.created_by.to_string())
            .collect()
    };
    assert_eq!(
        runs("c"),
        [
            "RUN |3 A= B=1 C=1 /bin/sh -c x # buildkit",
            "RUN |3 A= B=2 C=1 /bin/sh -c y # buildkit",
            "RUN |3 A= B=3 C=1 /bin/sh -c z # buildkit",
            "RUN |3 A=4 B=2 C=1 w # buildkit"
        ]
    );
}

#[test]
fn ten_thousand_instructions_take_no_time() {
    let mut file = "FROM busybox\n".to_owned();
    for number in 0..2_500 {
        let (arg, env) = (number % 30, number % 20);
        writeln!(file, "ARG A{arg}=$PATH\nENV V{env}=${{A{arg}}}\nRUN echo {number}\nCOPY f{number} /d/")
            .unwrap();
    }
    let parsed = parse(&file);
    let start = Instant::now();
    let plan = plan(&parsed, &options(), &mut FakeBases::new()).unwrap().plan;
    println!("{} steps in {:?}", plan.steps.len(), start.elapsed());
    assert_eq!(plan.steps.len(), 5_000);
}
