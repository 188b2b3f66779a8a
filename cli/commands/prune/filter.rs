//! `--filter` of the commands that prune.

use std::collections::BTreeMap;

use rbuild_builder::room::Kind;
use rbuild_image::time::Timestamp;

use crate::exit::Failure;
use crate::settings;

/// What may go. Filters of one kind are alternatives, except labels, which must all be right.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// Only what is from before.
    pub(super) until: Option<Timestamp>,
    /// Kinds of things in the cache.
    pub(super) kinds: Vec<Kind>,
    /// Beginnings of ids.
    pub(super) ids: Vec<String>,
    /// Name, value and whether it has to be so, or must not.
    labels: Vec<(String, Option<String>, bool)>,
}

impl Filter {
    /// Of `image prune` and `system prune`.
    pub(super) fn of_images(texts: &[String]) -> Result<Self, Failure> {
        Self::parse(texts, &["until", "label"])
    }

    /// Of `cache prune`.
    pub(super) fn of_cache(texts: &[String]) -> Result<Self, Failure> {
        Self::parse(texts, &["until", "unused-for", "type", "id"])
    }

    /// Of `cache prune --remote`.
    pub(super) fn of_remote(texts: &[String]) -> Result<Self, Failure> {
        Self::parse(texts, &["until"])
    }

    fn parse(texts: &[String], known: &[&str]) -> Result<Self, Failure> {
        let mut filter = Self::default();
        for text in texts {
            let (key, value) = text.split_once('=').ok_or_else(|| {
                Failure::usage(format!("invalid filter '{text}': bad format of filter (expected name=value)"))
            })?;
            let (key, wanted) = key.strip_suffix('!').map_or((key, true), |key| (key, false));
            if !known.contains(&key) || (!wanted && key != "label") {
                return Err(Failure::usage(format!("invalid filter '{text}'"))
                    .with_hint(format!("there are: {}", known.join(", "))));
            }
            let wrong = |why: String| Failure::usage(format!("invalid filter '{text}': {why}"));
            match key {
                "until" | "unused-for" => filter.until = Some(point(value, Timestamp::now()).map_err(wrong)?),
                "type" => filter.kinds.push(value.parse().map_err(wrong)?),
                "id" => filter.ids.push(value.to_owned()),
                _ => {
                    let (name, value) = value
                        .split_once('=')
                        .map_or((value, None), |(name, value)| (name, Some(value.into())));
                    filter.labels.push((name.to_owned(), value, wanted));
                }
            }
        }
        Ok(filter)
    }

    /// Whether something of that age and with these labels may go.
    pub(super) fn allows(&self, created: Option<Timestamp>, labels: &BTreeMap<String, String>) -> bool {
        let has = |(name, value, wanted): &(String, Option<String>, bool)| {
            let is_so = labels.get(name).is_some_and(|have| value.as_ref().is_none_or(|want| want == have));
            is_so == *wanted
        };
        self.until.is_none_or(|until| created.unwrap_or(Timestamp::EPOCH) < until)
            && self.labels.iter().all(has)
    }
}

/// A point in time: so long ago (`24h`, `1h30m`, `7d`), or RFC 3339, or seconds since 1970, as docker takes them.
fn point(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Ok(Timestamp::new(seconds, 0));
    }
    if let Some(seconds) = settings::seconds(text) {
        return Ok(Timestamp::new(now.secs - seconds, now.nanos));
    }
    let whole = [String::new(), "Z".into(), ":00Z".into(), ":00:00Z".into(), "T00:00:00Z".into()];
    let mut readings = whole.iter().filter_map(|rest| format!("{text}{rest}").parse().ok());
    readings.next().ok_or_else(|| "neither a time span, as 24h, nor a point in time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_in_time() {
        let now = Timestamp::new(1_000_000, 5);
        for (text, want) in [
            ("24h", Some(Timestamp::new(1_000_000 - 86_400, 5))),
            ("1h30m", Some(Timestamp::new(1_000_000 - 5400, 5))),
            ("0.5d", Some(Timestamp::new(1_000_000 - 43_200, 5))),
            ("1136239445", Some(Timestamp::new(1_136_239_445, 0))),
            ("2006-01-02T22:04:05Z", Some(Timestamp::new(1_136_239_445, 0))),
            ("2006-01-02", Some(Timestamp::new(1_136_160_000, 0))),
            ("", None),
            ("h", None),
            ("1x", None),
            ("yesterday", None),
        ] {
            assert_eq!(point(text, now).ok(), want, "{text:?}");
        }
    }

    #[test]
    fn labels_have_to_be_right() {
        let filter = |texts: &[&str]| {
            Filter::of_images(&texts.iter().map(|&text| text.to_owned()).collect::<Vec<_>>()).expect("good")
        };
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        for (texts, want) in [
            (&["label=a"][..], true),
            (&["label=a=1"], true),
            (&["label=a=2"], false),
            (&["label!=a"], false),
            (&["label!=b", "label=a"], true),
            (&["until=1h"], true),
        ] {
            assert_eq!(filter(texts).allows(None, &labels), want, "{texts:?}");
        }
        assert!(!filter(&["until=1h"]).allows(Some(Timestamp::now()), &labels));
        for wrong in ["until", "until=x", "type=regular", "until!=1h"] {
            assert!(Filter::of_images(&[wrong.to_owned()]).is_err(), "{wrong}");
        }
        assert!(Filter::of_cache(&["type=regular".to_owned(), "id=abc".to_owned()]).is_ok());
    }
}
