//! serde_json and rayon: records are made, written, read back, grouped and changed, by all threads.

use crate::{Numbers, Sum, THREADS};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// Records per unit of size.
const RECORDS: u64 = 1_000;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: u64,
    customer: String,
    tags: Vec<String>,
    items: Vec<Item>,
    notes: BTreeMap<String, String>,
    discount: Option<u8>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    count: u32,
    cents: u64,
}

pub(crate) fn run(size: u32) -> Result<String> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(THREADS)
        .build()?;
    pool.install(|| work(u64::from(size) * RECORDS))
}

fn work(records: u64) -> Result<String> {
    let orders: Vec<_> = (0..records).into_par_iter().map(order).collect();
    let texts: Vec<_> = orders
        .par_iter()
        .map(serde_json::to_string)
        .collect::<Result<_, _>>()?;
    let read: Vec<Order> = texts
        .par_iter()
        .map(|text| serde_json::from_str(text))
        .collect::<Result<_, _>>()?;
    ensure!(read == orders, "what was read is not what was written");
    drop(orders);

    // Each thread groups its part; the groups are then merged, and what merging empties is freed elsewhere.
    let groups: HashMap<String, Vec<Item>> = read
        .into_par_iter()
        .fold(HashMap::new, |mut groups, order| {
            let group: &mut Vec<Item> = groups.entry(order.customer).or_default();
            group.extend(order.items);
            groups
        })
        .reduce(HashMap::new, |mut groups, others| {
            for (customer, items) in others {
                groups.entry(customer).or_default().extend(items);
            }
            groups
        });
    let count: usize = groups.values().map(Vec::len).sum();
    let cents: u64 = groups.values().flatten().map(Item::price).sum();

    let (bytes, sum) = texts
        .par_iter()
        .map(|text| {
            let changed = change(serde_json::from_str(text)?);
            let text = serde_json::to_string_pretty(&changed)?;
            Ok((text.len(), Sum::of(text.as_bytes()).0))
        })
        .try_reduce(
            || (0, 0),
            |(bytes, sum), (more, other)| anyhow::Ok((bytes + more, sum.wrapping_add(other))),
        )?;
    Ok(format!(
        "{records} records, {} customers, {count} items, {cents} cents, {bytes} bytes, sum {sum:016x}",
        groups.len()
    ))
}

impl Item {
    fn price(&self) -> u64 {
        u64::from(self.count) * self.cents
    }
}

/// A record like others, and the same in each run.
fn order(id: u64) -> Order {
    let mut numbers = Numbers::new(id);
    let mut words = |most: u64, word: &str| -> Vec<String> {
        let count = numbers.below(most);
        (0..count)
            .map(|_| format!("{word} {}", numbers.below(1 << 40)))
            .collect()
    };
    let tags = words(8, "tag");
    let names = words(12, "a thing of the kind");
    let keys = words(5, "key");
    let notes = words(
        5,
        "a remark that takes a line, as remarks do, \"with\" quotes and ünïcode",
    );
    let item = |name| Item {
        name,
        count: u32::try_from(numbers.below(50)).unwrap_or_default(),
        cents: numbers.below(100_000),
    };
    Order {
        id,
        tags,
        items: names.into_iter().map(item).collect(),
        notes: keys.into_iter().zip(notes).collect(),
        customer: format!("customer {}", numbers.below(1_000)),
        discount: id
            .is_multiple_of(3)
            .then(|| u8::try_from(numbers.below(100)).unwrap_or_default()),
    }
}

/// Every string doubled, every list reversed, every object with one more member.
fn change(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.repeat(2)),
        Value::Array(values) => values.into_iter().rev().map(change).collect(),
        Value::Object(members) => {
            let count = members.len().into();
            let changed = members
                .into_iter()
                .map(|(key, value)| (key, change(value)))
                .chain([("members".to_owned(), count)]);
            Value::Object(changed.collect())
        }
        other => other,
    }
}
