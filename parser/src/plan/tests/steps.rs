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
        plan.target.history.last().unwrap().created_by,
        "ADD f https://h/x.git#main http://h/f ../up <<X d/ # buildkit"
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
