//! Graphviz and Mermaid.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::dag::{Dag, EdgeKind, Node, NodeKind};

/// Longest label, in characters; what follows is cut off.
const LONGEST: usize = 60;

impl Dag {
    /// The graph in Graphviz' language (graphviz.org/doc/info/lang.html).
    #[must_use]
    pub fn graphviz(&self) -> String {
        let mut out = String::from("digraph build {\n  rankdir=LR;\n  node [shape=box];\n");
        let quoted = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"");
        for node in self.nodes.iter().filter(|node| node.stage.is_none()) {
            let shape = if node.kind == NodeKind::Result { "doubleoctagon" } else { "ellipse" };
            let _ = writeln!(out, "  {} [label=\"{}\", shape={shape}];", node.id, quoted(&cut(&node.label)));
        }
        for (number, (stage, nodes)) in self.stages().into_iter().enumerate() {
            let _ = writeln!(out, "  subgraph cluster{number} {{\n    label=\"{}\";", quoted(stage));
            for node in nodes {
                let _ = writeln!(out, "    {} [label=\"{}\"];", node.id, quoted(&titled(node)));
            }
            out.push_str("  }\n");
        }
        for edge in &self.edges {
            let style = match edge.kind {
                EdgeKind::Parent => "",
                EdgeKind::Link => " [style=dashed, label=\"link\"]",
                EdgeKind::Copy => " [style=dotted, label=\"copy\"]",
                EdgeKind::Mount => " [style=dotted, label=\"mount\"]",
            };
            let _ = writeln!(out, "  {} -> {}{style};", edge.from, edge.to);
        }
        out.push_str("}\n");
        out
    }

    /// The graph as a Mermaid flowchart (mermaid.js.org/syntax/flowchart.html).
    #[must_use]
    pub fn mermaid(&self) -> String {
        let mut out = String::from("flowchart LR\n");
        for node in self.nodes.iter().filter(|node| node.stage.is_none()) {
            let (open, close) = if node.kind == NodeKind::Result { ("[[", "]]") } else { ("([", "])") };
            let _ = writeln!(out, "  {}{open}\"{}\"{close}", node.id, entities(&cut(&node.label)));
        }
        for (number, (stage, nodes)) in self.stages().into_iter().enumerate() {
            let _ = writeln!(out, "  subgraph stage{number} [\"{}\"]", entities(stage));
            for node in nodes {
                let _ = writeln!(out, "    {}[\"{}\"]", node.id, entities(&titled(node)));
            }
            out.push_str("  end\n");
        }
        for edge in &self.edges {
            let arrow = match edge.kind {
                EdgeKind::Parent => "-->",
                EdgeKind::Link => "-.->|link|",
                EdgeKind::Copy => "-.->|copy|",
                EdgeKind::Mount => "-.->|mount|",
            };
            let _ = writeln!(out, "  {} {arrow} {}", edge.from, edge.to);
        }
        out
    }

    /// The steps by stage, stages in the order of their first steps.
    fn stages(&self) -> Vec<(&str, Vec<&Node>)> {
        let mut index: BTreeMap<&str, usize> = BTreeMap::new();
        let mut stages: Vec<(&str, Vec<&Node>)> = Vec::new();
        for node in &self.nodes {
            let Some(stage) = node.stage.as_deref() else { continue };
            let at = *index.entry(stage).or_insert_with(|| {
                stages.push((stage, Vec::new()));
                stages.len() - 1
            });
            stages[at].1.push(node);
        }
        stages
    }
}

/// The instruction and its line.
fn titled(node: &Node) -> String {
    match node.line {
        Some(line) => format!("{line}: {}", cut(&node.label)),
        None => cut(&node.label),
    }
}

fn cut(text: &str) -> String {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if flat.chars().count() <= LONGEST {
        return flat;
    }
    let short: String = flat.chars().take(LONGEST - 1).collect();
    format!("{short}…")
}

/// Mermaid's own escapes: in quotes, everything that means something is written as an entity.
fn entities(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '&' | '<' | '>' | '`' | ';' | '\\' | '[' | ']' | '{' | '}' | '|' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out
}
