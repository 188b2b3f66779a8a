use std::collections::BTreeMap;

use rbuild_image::digest::LayerId;
use rbuild_image::store::{LayerUsage, Usage};
use rbuild_image::time::Timestamp;

use super::collect::choose;
use super::survey::Link;
use super::*;
use crate::chain::Chain;

const HOUR: i64 = 3600;

/// A step that made a layer of so many bytes, in so many milliseconds, and was used so many hours ago.
fn step(number: u8, bytes: u64, millis: u64, hours: i64, parent: &Chain) -> (Item, Chain) {
    let layer = LayerId([number; 32]);
    let result = parent.with(layer);
    let item = Item {
        kind: Kind::Regular,
        id: number.to_string(),
        description: String::new(),
        bytes,
        created: None,
        last_used: Timestamp::new(Timestamp::now().secs - hours * HOUR, 0),
        millis,
        shared: false,
        needed_by: Vec::new(),
        in_use: false,
        layer: Some(layer),
        chain: Some(Link { parent: parent.digest(), result: result.digest() }),
    };
    (item, result)
}

fn survey(items: Vec<Item>) -> Survey {
    let layer = |item: &Item| LayerUsage { bytes: item.bytes, ..LayerUsage::default() };
    let layers: BTreeMap<_, _> =
        items.iter().filter_map(|item| item.layer.map(|id| (id, layer(item)))).collect();
    Survey { usage: Usage { layers, ..Usage::default() }, items }
}

fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.id.as_str()).collect()
}

fn down_to(goal: u64) -> Wish {
    let budget = Budget { reserved: Some(Space::Bytes(goal)), max_used: None, min_free: None };
    Wish { budget: Some(budget), ..Wish::default() }
}

#[test]
fn the_oldest_and_cheapest_go_first() {
    let scratch = Chain::scratch();
    let one = |number, bytes, millis, hours| step(number, bytes, millis, hours, &scratch).0;
    let items = vec![one(1, 100, 50, 0), one(2, 100, 5, 0), one(3, 100, 900, 30), one(4, 100, 10, 28)];
    // Of the same day: the cheaper one; then those of the last hour, the cheaper one first.
    let survey = survey(items);
    assert_eq!(names(&choose(&survey, &down_to(0), 0)), ["4", "3", "2", "1"]);
    assert_eq!(names(&choose(&survey, &down_to(250), 250)), ["4", "3"]);
    assert_eq!(names(&choose(&survey, &down_to(400), 400)), [""; 0]);
    assert_eq!(names(&choose(&survey, &Wish { ids: vec!["3".into()], ..Wish::default() }, 0)), ["3"]);
}

#[test]
fn a_step_goes_after_those_that_stand_on_it() {
    let (below, chain) = step(1, 100, 1, 0, &Chain::scratch());
    let (above, _) = step(2, 100, 50, 0, &chain);
    assert_eq!(names(&choose(&survey(vec![below, above]), &down_to(0), 0)), ["2", "1"]);
}

#[test]
fn what_is_needed_stays() {
    let scratch = Chain::scratch();
    let mut items: Vec<Item> = (1..=3).map(|number| step(number, 10, 1, 0, &scratch).0).collect();
    items[0].in_use = true;
    items[1].needed_by.push("image x:latest".to_owned());
    let survey = survey(items);
    assert_eq!(names(&choose(&survey, &Wish::default(), 0)), ["3"]);
    assert_eq!(names(&choose(&survey, &Wish { all: true, ..Wish::default() }, 0)), ["2", "3"]);
}

#[test]
fn budgets_keep_what_buildkit_would() {
    let disk = |free| Disk { total: 1000, free };
    let budget = |text: [&str; 3]| {
        let [reserved, max_used, min_free] = text.map(|text| text.parse().ok());
        Budget { reserved, max_used, min_free }
    };
    for (limits, used, free, want) in [
        (["", "300", ""], 500, 500, 300),
        (["100", "", ""], 500, 500, 100),
        (["100", "300", "200"], 500, 500, 300),
        // 150 are missing.
        (["100", "300", "200"], 280, 50, 130),
        (["100", "300", "200"], 120, 0, 100),
        (["", "", "20%"], 500, 100, 400),
        (["", "", "20%"], 500, 300, u64::MAX),
        (["10%", "60%", "20%"], 50, 10, 100),
    ] {
        assert_eq!(budget(limits).keep(used, disk(free)), want, "{limits:?} {used} {free}");
    }
    assert_eq!("1.5kB".parse(), Ok(Space::Bytes(1536)));
    for wrong in ["", "x", "-1", "101%", "1z", "%"] {
        assert!(wrong.parse::<Space>().is_err(), "{wrong}");
    }
}
