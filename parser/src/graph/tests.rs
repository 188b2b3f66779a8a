use super::*;
use crate::parse;
use crate::plan::{self, Base, BaseId, BaseRequest, Bases, Config, Options};

struct AnyImage;

impl Bases for AnyImage {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let platform = request.platform.to_owned();
        Ok(Base { id: BaseId(7), config: Config::default(), author: None, platform, empty: false })
    }
}

fn dag(file: &str) -> Dag {
    let options = Options { build_platform: "linux/amd64".into(), ..Options::default() };
    let planned = plan::plan(&parse(file.as_bytes()).dockerfile, &options, &mut AnyImage).unwrap();
    Dag::new(&planned.plan, &|id| format!("image-{}", id.0))
}

const FILE: &str = "FROM a AS build\nRUN --mount=type=bind,target=/x make \"all\"\n\
    FROM scratch AS out\nCOPY --link --from=build /x /y\nADD http://h/f b /z/\nFROM unused\nRUN x\nFROM out\n";

#[test]
fn edges_are_what_steps_use() {
    let dag = dag(FILE);
    let label = |id: &str| dag.nodes.iter().find(|node| node.id == id).unwrap().label.clone();
    let edges: Vec<_> =
        dag.edges.iter().map(|edge| (label(&edge.from), edge.kind, label(&edge.to))).collect();
    let (run, copy, add) = (
        "RUN --mount=type=bind,target=/x make \"all\"".to_owned(),
        "COPY --link --from=build /x /y".to_owned(),
        "ADD http://h/f b /z/".to_owned(),
    );
    assert_eq!(
        edges,
        [
            ("image-7".into(), EdgeKind::Parent, run.clone()),
            ("context".into(), EdgeKind::Mount, run.clone()),
            ("scratch".into(), EdgeKind::Link, copy.clone()),
            (run, EdgeKind::Copy, copy.clone()),
            (copy, EdgeKind::Parent, add.clone()),
            ("context".into(), EdgeKind::Copy, add.clone()),
            ("http://h/f".into(), EdgeKind::Copy, add.clone()),
            (add, EdgeKind::Parent, "image".into()),
        ]
    );
}

#[test]
fn drawings() {
    let dag = dag("FROM a AS b\nRUN echo \"<x>\"\n");
    assert_eq!(
        dag.graphviz(),
        "digraph build {\n  rankdir=LR;\n  node [shape=box];\n  source0 [label=\"image-7\", shape=ellipse];\n  \
         result [label=\"b\", shape=doubleoctagon];\n  subgraph cluster0 {\n    label=\"b\";\n    \
         step0 [label=\"2: RUN echo \\\"<x>\\\"\"];\n  }\n  source0 -> step0;\n  step0 -> result;\n}\n"
    );
    assert_eq!(
        dag.mermaid(),
        "flowchart LR\n  source0([\"image-7\"])\n  result[[\"b\"]]\n  subgraph stage0 [\"b\"]\n    \
         step0[\"2: RUN echo #34;#60;x#62;#34;\"]\n  end\n  source0 --> step0\n  step0 --> result\n"
    );
}
