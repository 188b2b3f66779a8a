//! Everything that the build cache is made of.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::Path;

use rbuild_image::digest::{LayerId, RecordKey};
use rbuild_image::store::{LayerUser, MERGED, Store, Usage};
use rbuild_image::time::Timestamp;

use super::{Kind, RoomError, describe};
use crate::cache_mount;
use crate::chain::ChainDigest;
use crate::explain::BuildRecord;
use crate::failed;
use crate::key::StepRecord;

/// The folders of downloads and hints, with what is in them.
const FOLDERS: [(Kind, &str, &str); 3] = [
    (Kind::Git, "git", "repository"),
    (Kind::Http, "http", "download"),
    (Kind::Internal, "latest", "what a COPY copied last"),
];

/// What came over a network is thought to have come at this speed: nobody wrote down how long it took.
const BYTES_A_MILLISECOND: u64 = 10_000;
/// Without its hint an instruction copies everything once more.
const MILLIS_OF_A_HINT: u64 = 1000;

/// Something that can be removed from the cache.
#[derive(Debug, Clone)]
pub struct Item {
    /// What it is.
    pub kind: Kind,
    /// Names it among those of its kind: a key, or the name of a folder or file.
    pub id: String,
    /// The instruction, or what else it is.
    pub description: String,
    /// What it takes of the disk: of a step its record, and its layer unless an image or an earlier item has that.
    pub bytes: u64,
    /// When it was made, if that is known.
    pub created: Option<Timestamp>,
    /// When it was used last.
    pub last_used: Timestamp,
    /// How long it took to make, in milliseconds; of what was downloaded, a guess by its size.
    pub millis: u64,
    /// An image, or another item, has its layer, too.
    pub shared: bool,
    /// Images, containers and running processes that need it.
    pub needed_by: Vec<String>,
    /// A process is using it right now.
    pub in_use: bool,
    pub(super) layer: Option<LayerId>,
    pub(super) chain: Option<Link>,
}

/// Where a step stands: what it started from, and what it led to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    pub(super) parent: ChainDigest,
    pub(super) result: ChainDigest,
}

/// The state of a store.
#[derive(Debug)]
pub struct Survey {
    /// What takes how much.
    pub usage: Usage,
    /// The build cache, the youngest first.
    pub items: Vec<Item>,
}

impl Survey {
    /// Looks at every file of a store.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn of(store: &Store) -> Result<Self, RoomError> {
        let usage = store.usage()?;
        let mut items = steps(store, &usage)?;
        for cache in cache_mount::list(store)? {
            items.push(Item {
                description: format!("cache mount {}", cache.id.as_deref().unwrap_or("of an unknown id")),
                bytes: cache.bytes,
                millis: cache.bytes / BYTES_A_MILLISECOND,
                last_used: cache.last_used.unwrap_or(Timestamp::EPOCH),
                needed_by: cache.users.iter().map(|pid| format!("process {pid}")).collect(),
                in_use: cache.in_use,
                ..Item::new(Kind::CacheMount, cache.name)
            });
        }
        for (kind, folder, what) in FOLDERS {
            items.extend(in_folder(store, kind, folder, what)?);
        }
        items.extend(failed_steps(store, &usage)?);
        items.extend(merged(&usage));
        items.sort_by(|one, other| (other.last_used, &other.id).cmp(&(one.last_used, &one.id)));
        Ok(Self { usage, items })
    }

    /// What the cache takes of the disk, in bytes: all that no image needs.
    #[must_use]
    pub fn cache_bytes(&self) -> u64 {
        self.usage.cache() + self.usage.failed.values().chain(self.usage.others.values()).sum::<u64>()
    }
}

impl Item {
    fn new(kind: Kind, id: String) -> Self {
        Self {
            kind,
            id,
            description: String::new(),
            bytes: 0,
            created: None,
            last_used: Timestamp::EPOCH,
            millis: 0,
            shared: false,
            needed_by: Vec::new(),
            in_use: false,
            layer: None,
            chain: None,
        }
    }
}

/// What remembered builds say about their steps.
#[derive(Default)]
struct Mention {
    instruction: String,
    used: Option<Timestamp>,
}

fn mentions(store: &Store) -> Result<HashMap<RecordKey, Mention>, RoomError> {
    let mut mentions: HashMap<RecordKey, Mention> = HashMap::new();
    for id in store.build_ids()? {
        let Some(build) = BuildRecord::load(store, &id)? else { continue };
        for step in build.steps {
            if let Some(key) = step.key {
                mentions
                    .insert(key, Mention { instruction: step.head.instruction, used: Some(build.started) });
            }
        }
    }
    Ok(mentions)
}

fn steps(store: &Store, usage: &Usage) -> Result<Vec<Item>, RoomError> {
    let mut mentions = mentions(store)?;
    let needs = needs(store, usage)?;
    let mut layers: BTreeMap<LayerId, u32> = BTreeMap::new();
    let mut items = Vec::new();
    for key in store.record_keys()? {
        let Some(bytes) = store.peek_record(key)? else { continue };
        let Ok(record) = serde_json::from_slice::<StepRecord>(&bytes) else { continue };
        let mention = mentions.remove(&key).unwrap_or_default();
        let marked = store.record_used(key)?.map_or(Timestamp::EPOCH, |secs| Timestamp::new(secs, 0));
        let mut own = 0;
        for folder in ["records", "logs", "inputs"] {
            own += store.disk_usage(&format!("{folder}/{key}"))?;
        }
        let times_met = layers.entry(record.layer).or_default();
        *times_met += 1;
        let layer = usage.layers.get(&record.layer);
        let of_layer =
            layer.filter(|layer| layer.images == 0 && *times_met == 1).map_or(0, |layer| layer.bytes);
        let said =
            if mention.instruction.is_empty() { describe::step(&record.key) } else { mention.instruction };
        items.push(Item {
            description: said,
            bytes: own + of_layer,
            created: Some(record.created),
            last_used: mention.used.map_or(marked, |used| used.max(marked)),
            millis: record.millis,
            shared: layer.is_some_and(|layer| layer.images > 0),
            needed_by: needs.get(&record.layer).cloned().unwrap_or_default(),
            in_use: layer.is_some_and(|layer| !layer.users.is_empty()),
            layer: Some(record.layer),
            chain: record
                .key
                .parent
                .as_deref()
                .and_then(ChainDigest::parse)
                .map(|parent| Link { parent, result: parent.with(record.layer) }),
            ..Item::new(Kind::Regular, key.to_string())
        });
    }
    for item in &mut items {
        item.shared |= item.layer.is_some_and(|layer| layers[&layer] > 1);
    }
    Ok(items)
}

/// What stands for several layers goes as a whole, with whatever else goes.
fn merged(usage: &Usage) -> Option<Item> {
    let description = "layers merged for overlayfs".to_owned();
    let item = Item { description, bytes: usage.merged, ..Item::new(Kind::Internal, MERGED.to_owned()) };
    (usage.merged > 0).then_some(item)
}

/// Nothing needs them, so they cost nothing.
fn failed_steps(store: &Store, usage: &Usage) -> Result<Vec<Item>, RoomError> {
    let mut items = Vec::new();
    for kept in failed::list(store)? {
        let name = kept.name();
        // One that somebody is in cannot be had.
        let in_use = store.hold_failed_step(&name)?.is_none();
        let last_used = used(&store.failed_step_path(&name).join("step.json")).unwrap_or(Timestamp::EPOCH);
        items.push(Item {
            description: format!("failed {}", kept.title),
            bytes: usage.failed.get(&name).copied().unwrap_or(0),
            last_used,
            in_use,
            ..Item::new(Kind::Failed, name)
        });
    }
    Ok(items)
}

/// Who needs which layer.
fn needs(store: &Store, usage: &Usage) -> Result<BTreeMap<LayerId, Vec<String>>, RoomError> {
    let mut names: BTreeMap<_, String> = BTreeMap::new();
    for (name, meaning) in store.names()? {
        for image in store.images_of(meaning)? {
            names.entry(image).or_insert_with(|| name.familiar());
        }
    }
    let mut needs: BTreeMap<LayerId, Vec<String>> = BTreeMap::new();
    for (image, layers) in &usage.image_layers {
        let name = names.get(image).cloned().unwrap_or_else(|| image.to_string()[..19].to_owned());
        for layer in layers {
            let by = needs.entry(*layer).or_default();
            let word = format!("image {name}");
            if !by.contains(&word) {
                by.push(word);
            }
        }
    }
    for (layer, use_of_it) in &usage.layers {
        let words = use_of_it.users.iter().map(|user| match user {
            LayerUser::Process(pid) => format!("process {pid}"),
            LayerUser::Container(id) => format!("container {}", &id[..12.min(id.len())]),
            LayerUser::FailedStep(name) => format!("failed step {name}"),
        });
        needs.entry(*layer).or_default().extend(words);
    }
    Ok(needs)
}

fn in_folder(store: &Store, kind: Kind, folder: &str, what: &str) -> Result<Vec<Item>, RoomError> {
    let path = store.path().join(folder);
    let entries = match fs::read_dir(&path) {
        Ok(entries) => entries,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(cause) => return Err(RoomError::io("list", &path)(cause)),
    };
    let mut items = Vec::new();
    for entry in entries {
        let entry = entry.map_err(RoomError::io("list", &path))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        // One that vanished while we were looking is none.
        let Some(last_used) = used(&entry.path()) else { continue };
        let bytes = store.disk_usage(&format!("{folder}/{name}"))?;
        let description = what.to_owned();
        let millis = if kind == Kind::Internal { MILLIS_OF_A_HINT } else { bytes / BYTES_A_MILLISECOND };
        items.push(Item { description, bytes, last_used, millis, ..Item::new(kind, name) });
    }
    Ok(items)
}

/// When a download was used last: the lock of a repository and the body of a file tell.
fn used(path: &Path) -> Option<Timestamp> {
    let time = |path: &Path| fs::metadata(path).and_then(|meta| meta.modified()).ok().map(Timestamp::from);
    [path.to_owned(), path.join("lock"), path.join("meta.json")].iter().filter_map(|path| time(path)).max()
}
