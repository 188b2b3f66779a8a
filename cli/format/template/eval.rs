//! Nodes and data to text.

use serde_json::Value;

use super::{Node, Operand, Pipeline};

/// The dot, the root and the variables in view.
struct Scope<'a> {
    dot: Value,
    root: &'a Value,
    variables: Vec<(String, Value)>,
}

pub(super) fn template(nodes: &[Node], data: &Value) -> Result<String, String> {
    let mut out = String::new();
    let mut scope = Scope { dot: data.clone(), root: data, variables: Vec::new() };
    scope.nodes(nodes, &mut out)?;
    Ok(out)
}

impl Scope<'_> {
    fn nodes(&mut self, nodes: &[Node], out: &mut String) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Print(pipeline) => out.push_str(&text(&self.pipeline(pipeline)?)),
                Node::If { condition, body, otherwise } => {
                    let chosen = if truth(&self.pipeline(condition)?) { body } else { otherwise };
                    self.nodes(chosen, out)?;
                }
                Node::Range { names, over, body, otherwise } => {
                    let items = items(self.pipeline(over)?)?;
                    if items.is_empty() {
                        self.nodes(otherwise, out)?;
                    }
                    for (key, value) in items {
                        self.iteration(names, key, value, body, out)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn iteration(
        &mut self,
        names: &[String],
        key: Value,
        value: Value,
        body: &[Node],
        out: &mut String,
    ) -> Result<(), String> {
        let outer = std::mem::replace(&mut self.dot, value.clone());
        let depth = self.variables.len();
        match names {
            [] => {}
            [one] => self.variables.push((one.clone(), value)),
            [first, second, ..] => {
                self.variables.push((first.clone(), key));
                self.variables.push((second.clone(), value));
            }
        }
        let result = self.nodes(body, out);
        self.variables.truncate(depth);
        self.dot = outer;
        result
    }

    fn pipeline(&self, pipeline: &Pipeline) -> Result<Value, String> {
        let mut last = None;
        for command in pipeline {
            last = Some(self.command(command, last)?);
        }
        last.ok_or_else(|| "missing value for command".to_owned())
    }

    fn command(&self, words: &[Operand], piped: Option<Value>) -> Result<Value, String> {
        let (first, rest) = words.split_first().ok_or("missing value for command")?;
        let mut arguments = rest.iter().map(|w| self.operand(w)).collect::<Result<Vec<_>, _>>()?;
        arguments.extend(piped);
        match first {
            Operand::Function(name) => call(name, &arguments),
            _ if arguments.is_empty() => self.operand(first),
            _ => Err("can't give argument to non-function".into()),
        }
    }

    fn operand(&self, operand: &Operand) -> Result<Value, String> {
        match operand {
            Operand::Field(path) => walk(&self.dot, path),
            Operand::Variable(name, path) if name.is_empty() => walk(self.root, path),
            Operand::Variable(name, path) => {
                let found = self.variables.iter().rev().find(|(n, _)| n == name);
                walk(&found.ok_or_else(|| format!("undefined variable \"${name}\""))?.1, path)
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => call(name, &[]),
            Operand::Nested(pipeline) => self.pipeline(pipeline),
        }
    }
}

/// Follows field names; a name that an object does not have is an error, as it is for Go's structs.
fn walk(from: &Value, path: &[String]) -> Result<Value, String> {
    let mut value = from;
    for name in path {
        value = match value {
            Value::Object(map) => map.get(name).ok_or_else(|| format!("can't evaluate field {name}"))?,
            Value::Null => return Ok(Value::Null),
            _ => return Err(format!("can't evaluate field {name} in something that is not an object")),
        };
    }
    Ok(value.clone())
}

fn call(name: &str, arguments: &[Value]) -> Result<Value, String> {
    let one = || match arguments {
        [value] => Ok(value),
        _ => Err(format!("{name}: wants one argument, has {}", arguments.len())),
    };
    match name {
        "json" => Ok(one()?.to_string().into()),
        "len" => length(one()?).map(Value::from),
        "upper" => Ok(text(one()?).to_uppercase().into()),
        "lower" => Ok(text(one()?).to_lowercase().into()),
        "title" => Ok(title(&text(one()?)).into()),
        "not" => Ok((!truth(one()?)).into()),
        "print" => Ok(arguments.iter().map(text).collect::<String>().into()),
        "println" => Ok((arguments.iter().map(text).collect::<Vec<_>>().join(" ") + "\n").into()),
        "index" => index(arguments),
        "join" => match arguments {
            [Value::Array(list), separator] => {
                Ok(list.iter().map(text).collect::<Vec<_>>().join(&text(separator)).into())
            }
            _ => Err("join: wants a list and a separator".into()),
        },
        "eq" | "ne" => match arguments {
            [first, others @ ..] if !others.is_empty() => {
                Ok((others.contains(first) == (name == "eq")).into())
            }
            _ => Err(format!("{name}: wants two arguments")),
        },
        _ => Err(format!("function {name:?} not defined")),
    }
}

fn index(arguments: &[Value]) -> Result<Value, String> {
    let (first, keys) = arguments.split_first().ok_or("index: wants a list or map")?;
    let mut value = first;
    for key in keys {
        value = match (value, key) {
            (Value::Object(map), Value::String(name)) => map.get(name).unwrap_or(&Value::Null),
            (Value::Array(list), Value::Number(n)) => {
                let position = n.as_u64().and_then(|n| usize::try_from(n).ok());
                position.and_then(|p| list.get(p)).ok_or_else(|| format!("index out of range: {n}"))?
            }
            (Value::Null, _) => &Value::Null,
            _ => return Err(format!("index: cannot index with {key}")),
        };
    }
    Ok(value.clone())
}

fn length(value: &Value) -> Result<usize, String> {
    match value {
        Value::Array(list) => Ok(list.len()),
        Value::Object(map) => Ok(map.len()),
        Value::String(text) => Ok(text.len()),
        Value::Null => Ok(0),
        _ => Err("len: wants a list, a map or a text".into()),
    }
}

fn items(value: Value) -> Result<Vec<(Value, Value)>, String> {
    match value {
        Value::Array(list) => Ok(list.into_iter().enumerate().map(|(i, v)| (i.into(), v)).collect()),
        Value::Object(map) => Ok(map.into_iter().map(|(k, v)| (k.into(), v)).collect()),
        Value::Null => Ok(Vec::new()),
        _ => Err("range can't iterate over it".into()),
    }
}

fn truth(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(b) => *b,
        Value::Number(n) => n.as_f64() != Some(0.0),
        Value::String(s) => !s.is_empty(),
        Value::Array(a) => !a.is_empty(),
        Value::Object(o) => !o.is_empty(),
    }
}

fn title(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

/// What Go's fmt prints with %v for the value.
fn text(value: &Value) -> String {
    match value {
        Value::Null => "<no value>".into(),
        Value::String(s) => s.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let pairs: Vec<_> = map.iter().map(|(k, v)| format!("{k}:{}", text(v))).collect();
            format!("map[{}]", pairs.join(" "))
        }
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}
