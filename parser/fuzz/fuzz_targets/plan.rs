//! Whatever can be parsed can be planned or is refused, with places that lie in the file; a plan's steps come in an
//! order in which they could run.
#![no_main]

mod image;

use libfuzzer_sys::fuzz_target;
use rbuild_parser::graph::Dag;
use rbuild_parser::plan::{Root, check, plan};
use rbuild_parser::{Source, excerpt, outline, parse};

fuzz_target!(|bytes: &[u8]| {
    let parsed = parse(bytes);
    if !parsed.errors.is_empty() {
        return;
    }
    let source = Source::new(bytes);
    let options = image::options();
    let checked = check(&parsed.dockerfile, &options, &mut image::Images);
    for warning in &checked.warnings {
        assert!(!excerpt(&source, &[warning.lines]).is_empty(), "{warning:?}");
    }
    drop(outline::outline(&parsed.dockerfile, &options));
    match plan(&parsed.dockerfile, &options, &mut image::Images) {
        Err(error) => {
            if let Some(lines) = error.lines {
                assert!(!excerpt(&source, &[lines]).is_empty(), "{error:?}");
            }
        }
        Ok(planned) => {
            for (index, step) in planned.plan.steps.iter().enumerate() {
                assert_eq!(step.id.0 as usize, index);
                assert!(!matches!(step.parent, Root::Step(parent) if parent >= step.id), "{step:?}");
            }
            drop(Dag::new(&planned.plan, &|base| format!("image {}", base.0)).mermaid());
        }
    }
});
