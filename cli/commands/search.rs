//! `rbuild search`.

use rbuild_image::registry::{Registry, SearchResult};
use serde_json::{Value, json};

use crate::args::SearchArgs;
use crate::exit::{Exit, Failure, Outcome};
use crate::format::{Column, List};
use crate::settings::{Environment, ProgressMode, registry};
use crate::ui::{self, Direction, Transfer};

const COLUMNS: [Column; 4] = [
    Column { header: "NAME", field: "Name" },
    Column { header: "DESCRIPTION", field: "Description" },
    Column { header: "STARS", field: "StarCount" },
    Column { header: "OFFICIAL", field: "IsOfficial" },
];
const AUTOMATED: Column = Column { header: "AUTOMATED", field: "IsAutomated" };
/// Characters of a description, unless all are wanted.
const SHORT: usize = 45;
/// What Docker Hub gives at once.
const MOST: usize = 100;

/// Prints what Docker Hub, or another registry, has under a name.
pub(crate) fn run(args: &SearchArgs, environment: &Environment) -> Outcome {
    if !(1..=MOST).contains(&args.limit) {
        return Err(Failure::new(format!("limit {} is outside the range of [1, {MOST}]", args.limit)));
    }
    let filters = args.filter.iter().map(|text| Filter::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let known = [&COLUMNS[..], &[AUTOMATED]].concat();
    let list = List::parse(args.format.as_deref(), &COLUMNS, &known)?;
    let registry = Registry::new(registry(environment)?);
    let view = Transfer::new(Direction::Pull, ProgressMode::Plain, &args.term);
    let found = registry.search(&args.term, args.limit, &view)?;
    let rows: Vec<Value> = found
        .iter()
        .filter(|result| filters.iter().all(|filter| filter.accepts(result)))
        .map(|result| row(result, args.no_trunc))
        .collect();
    ui::print(&list.render(&rows)?)?;
    Ok(Exit::OK)
}

fn row(result: &SearchResult, whole: bool) -> Value {
    let mark = |is: bool| if is { "[OK]" } else { "" };
    json!({
        "Name": result.name,
        "Description": if whole { result.description.clone() } else { shortened(&result.description) },
        "StarCount": result.stars.to_string(),
        "IsOfficial": mark(result.is_official),
        "IsAutomated": mark(result.is_automated),
    })
}

/// One line, with an ellipsis where it was longer (docker's).
fn shortened(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.chars().count() <= SHORT {
        return text;
    }
    text.chars().take(SHORT - 1).chain(['…']).collect()
}

/// One `--filter`.
#[derive(Debug, PartialEq, Eq)]
enum Filter {
    Official(bool),
    Automated(bool),
    Stars(u64),
}

impl Filter {
    fn parse(text: &str) -> Result<Self, Failure> {
        let (key, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("invalid filter '{text}': expected name=value")))?;
        let wrong = || Failure::new(format!("invalid filter '{key}={value}'"));
        let truth = || match value {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(wrong()),
        };
        match key {
            "is-official" => truth().map(Self::Official),
            "is-automated" => truth().map(Self::Automated),
            "stars" => value.parse().map(Self::Stars).map_err(|_| wrong()),
            _ => Err(Failure::new(format!("invalid filter '{key}'"))),
        }
    }

    fn accepts(&self, result: &SearchResult) -> bool {
        match self {
            Self::Official(wanted) => result.is_official == *wanted,
            Self::Automated(wanted) => result.is_automated == *wanted,
            Self::Stars(least) => result.stars >= *least,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters() {
        for (text, want) in [
            ("is-official=true", Some(Filter::Official(true))),
            ("is-automated=0", Some(Filter::Automated(false))),
            ("stars=3", Some(Filter::Stars(3))),
            ("stars=many", None),
            ("is-official", None),
            ("color=red", None),
        ] {
            assert_eq!(Filter::parse(text).ok(), want, "{text}");
        }
        let result = SearchResult {
            name: "x".into(),
            description: String::new(),
            stars: 3,
            is_official: true,
            is_automated: false,
        };
        assert!(Filter::Stars(3).accepts(&result) && !Filter::Stars(4).accepts(&result));
        assert!(Filter::Official(true).accepts(&result) && !Filter::Automated(true).accepts(&result));
    }

    #[test]
    fn long_descriptions_are_cut() {
        assert_eq!(shortened("a\nb"), "a b");
        assert_eq!(shortened(&"x".repeat(46)), "x".repeat(44) + "…");
        assert_eq!(shortened(&"x".repeat(45)), "x".repeat(45));
    }
}
