//! What goes first.

use std::cmp::Reverse;
use std::collections::HashMap;

use rbuild_image::time::Timestamp;

use super::survey::Item;
use crate::chain::ChainDigest;

/// Indexes of `items`, those that go first at the front: long unused before recent, cheap before dear.
pub(super) fn first_to_go(items: &[Item], now: Timestamp) -> Vec<usize> {
    let costs = costs(items);
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_by_key(|&index| {
        let item = &items[index];
        let dear = u128::from(costs[index]) * 1_000_000 / u128::from(item.bytes.max(1));
        (Reverse(age(item, now)), dear, item.last_used, &item.id)
    });
    order
}

/// The power of two of the hours since the last use: 0 for less than one, 1 for less than two, 2 for less than four.
fn age(item: &Item, now: Timestamp) -> u32 {
    let hours = u64::try_from((now.secs - item.last_used.secs) / 3600).unwrap_or_default();
    u64::BITS - hours.leading_zeros()
}

/// The milliseconds that each item took, with those of the steps that stand on its result.
fn costs(items: &[Item]) -> Vec<u64> {
    let mut above: HashMap<ChainDigest, Vec<usize>> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        if let Some(parent) = item.chain.map(|chain| chain.parent) {
            above.entry(parent).or_default().push(index);
        }
    }
    let mut known = vec![None; items.len()];
    for index in 0..items.len() {
        cost(index, items, &above, &mut known);
    }
    known.into_iter().map(Option::unwrap_or_default).collect()
}

/// Without recursion: a chain may have as many steps as a Dockerfile has lines.
fn cost(start: usize, items: &[Item], above: &HashMap<ChainDigest, Vec<usize>>, known: &mut [Option<u64>]) {
    let mut pending = vec![(start, false)];
    while let Some((index, is_ready)) = pending.pop() {
        if known[index].is_some() {
            continue;
        }
        let standing =
            items[index].chain.and_then(|chain| above.get(&chain.result)).map_or(&[][..], |all| all);
        if is_ready {
            let sum: u64 = standing.iter().filter_map(|other| known[*other]).sum();
            known[index] = Some(items[index].millis.saturating_add(sum));
        } else {
            pending.push((index, true));
            pending.extend(standing.iter().map(|other| (*other, false)));
        }
    }
}
