//! Base images for the targets that plan: whatever is asked for exists.

use std::collections::BTreeMap;

use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases, Config, NamedContext, Options};

/// An image named `trigger...` has ONBUILD instructions; one named `missing...` does not exist.
pub struct Images;

impl Bases for Images {
    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        if request.name.starts_with("missing") {
            return Err(format!("{} was not found", request.name));
        }
        let on_build = match request.name.starts_with("trigger") {
            true => vec!["RUN <<E\nrun $A\nE\n".to_owned(), "COPY --from=b . .".to_owned()],
            false => Vec::new(),
        };
        let env = vec!["PATH=/bin".to_owned(), "B=base".to_owned()];
        let config = Config { env, on_build, ..Config::default() };
        let platform = request.platform.to_owned();
        Ok(Base { id: BaseId(0), config, author: None, platform, empty: false })
    }
}

/// A build argument, a label and a named context.
pub fn options() -> Options {
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    Options {
        build_args: one("A", "a b"),
        labels: one("l", "m"),
        build_platform: "linux/amd64".to_owned(),
        contexts: BTreeMap::from([("folder".to_owned(), NamedContext::Folder)]),
        ..Options::default()
    }
}
