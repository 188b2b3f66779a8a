//! `rbuild inspect`.

use rbuild_image::reference::Reference;
use rbuild_image::store::{Image, Store};
use serde::Serialize;
use serde_json::Value;

use super::find;
use crate::args::InspectArgs;
use crate::exit::{Exit, FAILURE, Failure, Outcome};
use crate::format::Template;
use crate::ui::{self, Style};

/// What docker's API says of an image, in its order.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    id: String,
    repo_tags: Vec<String>,
    repo_digests: Vec<String>,
    parent: &'static str,
    comment: String,
    created: Option<String>,
    docker_version: &'static str,
    author: String,
    config: Value,
    architecture: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    variant: String,
    os: String,
    size: u64,
    #[serde(rename = "RootFS")]
    rootfs: RootFs,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct RootFs {
    r#type: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<String>,
}

/// Prints what is known of images. Those that are missing do not keep the others.
pub(crate) fn run(args: &InspectArgs, store: &Store, style: Style) -> Outcome {
    let template = match args.format.as_deref() {
        None | Some("json") => None,
        Some(text) => Some(Template::parse(text)?),
    };
    let platform = args.platform.as_deref().map(find::platform).transpose()?;
    let names = find::names_by_any_image(store)?;
    let (mut found, mut exit) = (Vec::new(), Exit::OK);
    for text in &args.images {
        let image = match &platform {
            Some(platform) => find::image_for(store, text, platform),
            None => find::image(store, text),
        };
        match image {
            Ok(image) => {
                let names = names.get(&image.id).map(Vec::as_slice).unwrap_or_default();
                found.push(inspected(&image, names, store)?);
            }
            Err(failure) => {
                ui::complain(&failure, style);
                exit = Exit(FAILURE);
            }
        }
    }
    let text = match (&template, args.format.as_deref()) {
        (Some(template), _) => lines(&found, template)?,
        (None, Some(_)) => serde_json::to_string(&found)? + "\n",
        (None, None) => pretty(&found)?,
    };
    ui::print(&text)?;
    Ok(exit)
}

fn lines(found: &[Inspected], template: &Template) -> Result<String, Failure> {
    let mut out = String::new();
    for one in found {
        out.push_str(&template.render(&serde_json::to_value(one)?)?);
        out.push('\n');
    }
    Ok(out)
}

/// Four blanks, as docker indents.
fn pretty(found: &[Inspected]) -> Result<String, Failure> {
    let mut out = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    found.serialize(&mut serde_json::Serializer::with_formatter(&mut out, formatter))?;
    out.push(b'\n');
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn inspected(image: &Image, names: &[Reference], store: &Store) -> Result<Inspected, Failure> {
    let config = &image.config;
    Ok(Inspected {
        id: image.id.to_string(),
        repo_tags: names.iter().map(Reference::familiar).collect(),
        repo_digests: store.repo_digests(image.id)?.iter().map(Reference::familiar).collect(),
        parent: "",
        comment: config.history.last().map(|h| h.comment.clone()).unwrap_or_default(),
        created: config.created.map(|t| t.to_string()),
        docker_version: "",
        author: config.author.clone(),
        config: whole_config(serde_json::to_value(&config.config)?),
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        size: find::size(store, image)?,
        rootfs: RootFs {
            r#type: "layers",
            layers: config.rootfs.diff_ids.iter().map(ToString::to_string).collect(),
        },
    })
}

/// The members that templates ask for are there even where the image says nothing.
fn whole_config(mut config: Value) -> Value {
    if let Value::Object(map) = &mut config {
        for text in ["User", "WorkingDir"] {
            map.entry(text).or_insert_with(|| "".into());
        }
        for missing in ["Env", "Cmd", "Entrypoint", "Labels", "Volumes", "OnBuild"] {
            map.entry(missing).or_insert(Value::Null);
        }
    }
    config
}
