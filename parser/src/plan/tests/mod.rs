//! Tests of planning, by way of whole Dockerfiles.

mod conformance;
mod errors;
mod mounts;
mod steps;

use std::collections::BTreeMap;

use super::*;
use crate::instruction::Dockerfile;

/// Knows `busybox`, like the base image of the conformance cases, and what a test adds.
#[derive(Debug, Default)]
struct FakeBases {
    images: BTreeMap<String, Config>,
    asked: Vec<String>,
}

impl FakeBases {
    fn new() -> Self {
        let mut bases = Self::default();
        let config = Config {
            env: vec!["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()],
            cmd: Some(vec!["sh".to_owned()]),
            ..Config::default()
        };
        bases.images.insert("busybox".to_owned(), config);
        bases
    }
}

impl Bases for FakeBases {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        self.asked.push(request.name.to_owned());
        let name = request.name.trim_start_matches("docker-image://");
        let name = name.strip_suffix(":latest").unwrap_or(name);
        let place = self.images.keys().position(|known| known == name);
        let place = place.ok_or_else(|| format!("{name}: failed to resolve source metadata: not found"))?;
        Ok(Base {
            id: BaseId(u32::try_from(place).unwrap()),
            config: self.images[name].clone(),
            author: None,
            platform: "linux/amd64".to_owned(),
            empty: false,
        })
    }
}

fn options() -> Options {
    Options { build_platform: "linux/amd64".to_owned(), ..Options::default() }
}

fn parse(text: &str) -> Dockerfile {
    let parsed = crate::parse(text.as_bytes());
    assert_eq!(parsed.errors, [], "{text}");
    parsed.dockerfile
}

fn try_plan(text: &str, options: &Options) -> Result<Plan, PlanError> {
    plan(&parse(text), options, &mut FakeBases::new()).map(|planned| planned.plan)
}

fn planned(text: &str) -> Plan {
    try_plan(text, &options()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}
