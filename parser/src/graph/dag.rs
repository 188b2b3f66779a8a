//! Nodes and edges.

use serde::Serialize;

use crate::plan::{CopySource, MountKind, Op, Plan, Root, Step};

/// The graph of one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dag {
    /// Sources first, then the steps in their order, then the result.
    pub nodes: Vec<Node>,
    /// In the order of the steps that they lead to.
    pub edges: Vec<Edge>,
}

/// Something that is used or made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Node {
    /// Its name in the graph.
    pub id: String,
    /// What it is.
    pub kind: NodeKind,
    /// What people call it: the instruction, the image, the address.
    pub label: String,
    /// The stage of a step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// First line of a step's instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// The kinds of nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// The empty file system.
    Scratch,
    /// A base image.
    Image,
    /// The build context or a named one.
    Context,
    /// A URL or git repository.
    Remote,
    /// RUN, COPY, ADD or WORKDIR.
    Step,
    /// What the build results in.
    Result,
}

/// One thing uses another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edge {
    /// What is used.
    pub from: String,
    /// What uses it.
    pub to: String,
    /// How.
    pub kind: EdgeKind,
}

/// How a step uses what an edge leads from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeKind {
    /// Its layer lies on top.
    Parent,
    /// The layer will lie on top, but does not depend on it (`--link`).
    Link,
    /// It copies files from there.
    Copy,
    /// It mounts files from there.
    Mount,
}

impl Dag {
    /// Makes the graph. `image` tells the name of a base image by its number.
    #[must_use]
    pub fn new(plan: &Plan, image: &dyn Fn(crate::plan::BaseId) -> String) -> Self {
        let mut maker = Maker { image, sources: Vec::new(), edges: Vec::new() };
        let steps: Vec<Node> = plan.steps.iter().map(|step| maker.step(step)).collect();
        let name = plan.target.stage.clone().unwrap_or_else(|| "image".to_owned());
        let result =
            Node { id: "result".into(), kind: NodeKind::Result, label: name, stage: None, line: None };
        maker.edge(&plan.target.root, &result.id, EdgeKind::Parent);
        let mut nodes = maker.sources;
        nodes.extend(steps);
        nodes.push(result);
        Self { nodes, edges: maker.edges }
    }
}

struct Maker<'m> {
    image: &'m dyn Fn(crate::plan::BaseId) -> String,
    sources: Vec<Node>,
    edges: Vec<Edge>,
}

impl Maker<'_> {
    fn step(&mut self, step: &Step) -> Node {
        let id = format!("step{}", step.id.0);
        let parent = match &step.op {
            Op::Copy(copy) if copy.link => EdgeKind::Link,
            _ => EdgeKind::Parent,
        };
        self.edge(&step.parent, &id, parent);
        match &step.op {
            Op::Copy(copy) => {
                if copy.sources.iter().any(|source| matches!(source, CopySource::Path(_))) {
                    self.edge(&copy.from, &id, EdgeKind::Copy);
                }
                for source in &copy.sources {
                    if let CopySource::Http(url) | CopySource::Git(url) = source {
                        let from = self.source(NodeKind::Remote, url);
                        self.connect(from, &id, EdgeKind::Copy);
                    }
                }
            }
            Op::Run(run) => {
                for mount in &run.mounts {
                    match &mount.kind {
                        MountKind::Bind { from, .. } | MountKind::Cache { from: Some((from, _)), .. } => {
                            self.edge(from, &id, EdgeKind::Mount);
                        }
                        _ => {}
                    }
                }
            }
            Op::Workdir(_) => {}
        }
        let (stage, line) = (Some(step.stage.clone()), Some(step.lines.first));
        Node { id, kind: NodeKind::Step, label: step.text.clone(), stage, line }
    }

    fn edge(&mut self, from: &Root, to: &str, kind: EdgeKind) {
        let from = match from {
            Root::Step(id) => format!("step{}", id.0),
            Root::Scratch => self.source(NodeKind::Scratch, "scratch"),
            Root::Base(id) => self.source(NodeKind::Image, &(self.image)(*id)),
            Root::MainContext => self.source(NodeKind::Context, "context"),
            Root::NamedContext(name) => self.source(NodeKind::Context, &format!("context {name}")),
        };
        self.connect(from, to, kind);
    }

    fn connect(&mut self, from: String, to: &str, kind: EdgeKind) {
        let edge = Edge { from, to: to.to_owned(), kind };
        if !self.edges.contains(&edge) {
            self.edges.push(edge);
        }
    }

    /// The name of a source, which gets a node when it is first used.
    fn source(&mut self, kind: NodeKind, label: &str) -> String {
        let known = self.sources.iter().find(|node| node.kind == kind && node.label == label);
        if let Some(node) = known {
            return node.id.clone();
        }
        let id = format!("source{}", self.sources.len());
        self.sources.push(Node { id: id.clone(), kind, label: label.to_owned(), stage: None, line: None });
        id
    }
}
