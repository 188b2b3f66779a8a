//! Base images: found in the store, else pulled; or what a lock says. No connection is opened for what the store has.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rbuild_image::platform::Platform;
use rbuild_image::reference::Reference;
use rbuild_image::registry::{self, Found, Policy, Progress, PullOptions, Registry, RegistryError};
use rbuild_image::store::{Image, Store};
use rbuild_parser::plan::{Base, BaseId, BaseRequest, Bases};

use crate::assemble::plan_config;
use crate::carry::PendingBase;
use crate::event::{Event, Observer};
use crate::lock::{ImagePin, LockError, Pin, Pins};
use crate::recipe::Named;

/// So many images are fetched at once; each of them fetches several layers at once.
const IMAGES_AT_ONCE: usize = 4;

/// Finds base images, and remembers what the plan's numbers stand for.
pub(crate) struct StoreBases<'a> {
    store: &'a Store,
    source: Option<Source<'a>>,
    images: Vec<Arc<Image>>,
    named: Vec<Named>,
    pending: Mutex<Vec<PendingBase>>,
    /// What was fetched before it was asked for.
    fetched: HashMap<Key, Image>,
}

/// A name as it is meant, and a platform.
type Key = (Reference, String);

/// Where images come from that are not in the store.
pub(crate) struct Source<'a> {
    pub(crate) registry: &'a Registry,
    pub(crate) policy: Policy,
    pub(crate) pins: &'a Pins,
    pub(crate) observer: &'a dyn Observer,
    /// True if layers are only pulled when something needs their files.
    pub(crate) lazily: bool,
}

/// A name as it is written and as it is meant.
struct Name<'a> {
    text: &'a str,
    reference: Reference,
    canonical: String,
}

impl Name<'_> {
    /// BuildKit's words for whatever is in the way.
    fn unresolved(&self, cause: &dyn std::fmt::Display) -> String {
        format!("{}: failed to resolve source metadata for {}: {cause}", self.text, self.canonical)
    }

    fn missing(&self) -> String {
        self.unresolved(&format_args!("{}: not found", self.canonical))
    }
}

impl<'a> StoreBases<'a> {
    /// From the store only.
    pub(crate) fn new(store: &'a Store) -> Self {
        Self {
            store,
            source: None,
            images: Vec::new(),
            named: Vec::new(),
            pending: Mutex::default(),
            fetched: HashMap::new(),
        }
    }

    /// From the store and from registries.
    pub(crate) fn pulling(store: &'a Store, source: Source<'a>) -> Self {
        Self { source: Some(source), ..Self::new(store) }
    }

    /// The images, by [`BaseId`], and by the names that were asked for.
    pub(crate) fn into_images(self) -> (Vec<Arc<Image>>, Vec<Named>) {
        (self.images, self.named)
    }

    /// The images that were not pulled yet.
    pub(crate) fn take_pending(&self) -> Vec<PendingBase> {
        std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, name: &str, platform: &str) -> Result<Image, String> {
        let reference = name
            .parse::<Reference>()
            .map_err(|cause| format!("failed to parse stage name {name:?}: {cause}"))?
            .with_default_tag();
        let wanted = Name { text: name, canonical: reference.canonical(), reference };
        let platform: Platform = platform.parse().map_err(|cause| wanted.unresolved(&cause))?;
        let Some(source) = self.source.as_ref().filter(|source| source.policy != Policy::Never) else {
            return self.local(&wanted, &platform)?.ok_or_else(|| wanted.missing());
        };
        if wanted.reference.digest().is_some() {
            return self.unlocked(source, &wanted, platform);
        }
        match source.pins.image(&wanted.canonical).map_err(|cause| wanted.unresolved(&cause))? {
            Pin::Fixed(pin) => self.locked(source, &wanted, platform, &pin),
            Pin::Free if source.pins.learns() => self.learn(source, &wanted, platform),
            Pin::Free => self.unlocked(source, &wanted, platform),
        }
    }

    /// The store's image of this name: of several the one for the platform, else for whatever platform it is.
    fn local(&self, wanted: &Name<'_>, platform: &Platform) -> Result<Option<Image>, String> {
        let id = self.store.named_for(&wanted.reference, platform);
        let image = id.and_then(|id| id.map_or(Ok(None), |id| self.store.image(id)));
        image.map_err(|cause| wanted.unresolved(&cause))
    }

    /// What the name means now.
    fn unlocked(&self, source: &Source<'_>, wanted: &Name<'_>, platform: Platform) -> Result<Image, String> {
        if source.policy == Policy::Missing
            && let Some(image) =
                self.local(wanted, &platform)?.filter(|image| platform.accepts(&image.config.platform()))
        {
            return Ok(image);
        }
        self.fetch(source, wanted, &wanted.reference, platform)
    }

    /// What the lock says that the name means.
    fn locked(
        &self,
        source: &Source<'_>,
        wanted: &Name<'_>,
        platform: Platform,
        pin: &ImagePin,
    ) -> Result<Image, String> {
        let failed = |cause: LockError| wanted.unresolved(&cause);
        if let (Policy::Always, Some(digest)) = (source.policy, pin.digest) {
            let now = self.ask(source, wanted, &platform).map_err(|cause| wanted.unresolved(&cause))?;
            if now.digest != digest {
                let (there, here) = (now.digest.to_string(), digest.to_string());
                return Err(failed(source.pins.differs(&wanted.canonical, &here, &there)));
            }
        }
        let id = pin.ids.get(&platform.to_string());
        if let Some(id) = id
            && let Some(image) = self.store.image(*id).map_err(|cause| wanted.unresolved(&cause))?
        {
            return Ok(image);
        }
        let Some(digest) = pin.digest else {
            let expected = id.map_or_else(|| format!("an image for {platform}"), ToString::to_string);
            return Err(failed(source.pins.gone(&wanted.canonical, &expected)));
        };
        let image = self.fetch(source, wanted, &wanted.reference.clone().at(digest.0), platform.clone())?;
        match id {
            Some(id) if *id != image.id => {
                let (here, there) = (id.to_string(), image.id.to_string());
                Err(failed(source.pins.differs(&wanted.canonical, &here, &there)))
            }
            _ => {
                source.pins.tell_image(&wanted.canonical, &platform.to_string(), pin.digest, &image);
                Ok(image)
            }
        }
    }

    /// What the name means now, for the lock to remember.
    fn learn(&self, source: &Source<'_>, wanted: &Name<'_>, platform: Platform) -> Result<Image, String> {
        let local = self.local(wanted, &platform)?.filter(|image| platform.accepts(&image.config.platform()));
        let asked = self.ask(source, wanted, &platform);
        let keeps_local = source.policy == Policy::Missing && !source.pins.renews();
        let text = platform.to_string();
        let (image, digest) = match (asked, local) {
            (Ok(found), Some(local)) if local.id == found.image => (local, Some(found.digest)),
            (Ok(found), local) if local.is_none() || !keeps_local => {
                let image = self.fetch(source, wanted, &wanted.reference, platform)?;
                (image, Some(found.digest))
            }
            (Err(cause), None) => return Err(wanted.unresolved(&cause)),
            // A registry that cannot be reached today is no reason to forget what it had yesterday.
            (Err(cause), Some(_)) if source.pins.renews() && !cause.means_absent() => {
                return Err(wanted.unresolved(&cause));
            }
            (asked, Some(local)) => {
                let why =
                    asked.map_or_else(|cause| cause.to_string(), |_| "the registry has another image".into());
                let notice = format!(
                    "{}: locked to the image {} of this store alone, without a digest to pull it by: {why}",
                    wanted.text, local.id
                );
                source.observer.on(Event::Notice(&notice));
                (local, None)
            }
            (Ok(_), None) => return Err(wanted.missing()),
        };
        source.pins.tell_image(&wanted.canonical, &text, digest, &image);
        Ok(image)
    }

    fn ask(
        &self,
        source: &Source<'_>,
        wanted: &Name<'_>,
        platform: &Platform,
    ) -> Result<Found, RegistryError> {
        let told = Told { image: &wanted.canonical, observer: source.observer };
        source.registry.look_up(&wanted.reference, platform, &told)
    }

    fn fetch(
        &self,
        source: &Source<'_>,
        wanted: &Name<'_>,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Image, String> {
        let here = self.of_other_platform(wanted, &platform);
        self.pull(source, reference, platform).map_err(|error| {
            let message = match error {
                RegistryError::NotFound(_) | RegistryError::NoImage(_) => wanted.missing(),
                error => wanted.unresolved(&error),
            };
            here.map_or_else(
                || message.clone(),
                |here| format!("{message} (the store has it for {here} only)"),
            )
        })
    }

    /// What the store's image of this name is for, where that is why it was not taken.
    fn of_other_platform(&self, wanted: &Name<'_>, platform: &Platform) -> Option<Platform> {
        let local = self.local(wanted, platform).ok().flatten()?;
        Some(local.config.platform()).filter(|it| !platform.accepts(it))
    }

    fn pull(
        &self,
        source: &Source<'_>,
        reference: &Reference,
        platform: Platform,
    ) -> Result<Image, RegistryError> {
        let options = PullOptions { platform, exact_platform: false };
        if source.lazily {
            let (pending, image) =
                PendingBase::describe(self.store, source.registry, reference, options, source.observer)?;
            self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(pending);
            return Ok(image);
        }
        let image = reference.canonical();
        let begun = Instant::now();
        source.observer.on(Event::Pulling { image: &image });
        let told = Told { image: &image, observer: source.observer };
        let found =
            source.registry.resolve_or_pull(self.store, reference, &options, Policy::Always, &told)?;
        source.observer.on(Event::Pulled { image: &image, duration: begun.elapsed() });
        Ok(found.image)
    }

    /// Whether a registry has to be asked about a name.
    fn has_to_ask(&self, source: &Source<'_>, (name, platform): &Key) -> bool {
        let (Policy::Missing, Ok(platform)) = (source.policy, platform.parse::<Platform>()) else {
            return true;
        };
        let pin = source.pins.image(&name.canonical());
        if source.pins.learns() || !matches!(pin, Ok(Pin::Free)) {
            return true;
        }
        let id = self.store.named_for(name, &platform).ok().flatten();
        let image = id.and_then(|id| self.store.image(id).ok().flatten());
        image.is_none_or(|image| !platform.accepts(&image.config.platform()))
    }

    /// Finds several images at once. The first that cannot be had ends the search for the others.
    fn find_all(
        &self,
        source: &Source<'_>,
        wanted: &[(usize, &str, Key)],
    ) -> Result<Vec<(Key, Image)>, (usize, String)> {
        let next = AtomicUsize::new(0);
        let state = Mutex::new((Vec::new(), None));
        let lock = || state.lock().unwrap_or_else(PoisonError::into_inner);
        let work = || {
            while let Some((at, name, key)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                if lock().1.is_some() {
                    return;
                }
                match self.find(name, &key.1) {
                    Ok(image) => lock().0.push((key.clone(), image)),
                    Err(message) => {
                        lock().1.get_or_insert((*at, message));
                        // The build has failed, and nothing more is asked of registries.
                        source.registry.shut_down();
                        return;
                    }
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..IMAGES_AT_ONCE.min(wanted.len()) {
                scope.spawn(work);
            }
        });
        match state.into_inner().unwrap_or_else(PoisonError::into_inner) {
            (_, Some(failure)) => Err(failure),
            (found, None) => Ok(found),
        }
    }

    /// One number for one image, however often it is asked for.
    fn number(&mut self, image: Image) -> (BaseId, Arc<Image>) {
        let at = self.images.iter().position(|known| known.id == image.id).unwrap_or_else(|| {
            self.images.push(Arc::new(image));
            self.images.len() - 1
        });
        (BaseId(u32::try_from(at).expect("a Dockerfile has fewer stages")), Arc::clone(&self.images[at]))
    }
}

impl Bases for StoreBases<'_> {
    fn expect(&mut self, requests: &[BaseRequest<'_>]) -> Result<(), (usize, String)> {
        let Some(source) = self.source.as_ref().filter(|source| source.policy != Policy::Never) else {
            return Ok(());
        };
        let mut wanted: Vec<(usize, &str, Key)> = Vec::new();
        for (at, request) in requests.iter().enumerate() {
            let name = plain(request.name);
            let Some(key) = key(name, request.platform) else { continue };
            let is_known =
                self.fetched.contains_key(&key) || wanted.iter().any(|(_, _, other)| *other == key);
            if !is_known && self.has_to_ask(source, &key) {
                wanted.push((at, name, key));
            }
        }
        if wanted.len() > 1 {
            let found = self.find_all(source, &wanted)?;
            self.fetched.extend(found);
        }
        Ok(())
    }

    fn resolve(&mut self, request: &BaseRequest<'_>) -> Result<Base, String> {
        let name = plain(request.name);
        let fetched = key(name, request.platform).and_then(|key| self.fetched.get(&key).cloned());
        let image = match fetched {
            Some(image) => image,
            None if crate::layouts::is_local(name) => {
                crate::layouts::load(self.store, name, request.platform)?
            }
            None => self.find(name, request.platform)?,
        };
        let (id, image) = self.number(image);
        let (name, platform) = (request.name.to_owned(), request.platform.to_owned());
        self.named.push(Named { name, platform, image: image.id });
        Ok(base(id, &image))
    }
}

/// None for what is no name of an image.
fn key(name: &str, platform: &str) -> Option<Key> {
    let reference = name.parse::<Reference>().ok().filter(|_| !crate::layouts::is_local(name))?;
    Some((reference.with_default_tag(), platform.to_owned()))
}

/// A request as a registry is asked: `docker-image://` before a name says nothing.
fn plain(name: &str) -> &str {
    name.strip_prefix("docker-image://").unwrap_or(name)
}

/// What a plan has to know of an image.
pub(crate) fn base(id: BaseId, image: &Image) -> Base {
    let config = &image.config;
    Base {
        id,
        config: plan_config(&config.config),
        author: (!config.author.is_empty()).then(|| config.author.clone()),
        platform: config.platform().to_string(),
        empty: config.rootfs.diff_ids.is_empty() && config.history.iter().all(|entry| entry.empty_layer),
    }
}

/// Hands what happens to a transfer on to whoever watches the build.
pub(crate) struct Told<'a> {
    pub(crate) image: &'a str,
    pub(crate) observer: &'a dyn Observer,
}

impl Progress for Told<'_> {
    fn event(&self, event: registry::Event<'_>) {
        self.observer.on(Event::Pull { image: self.image, event: &event });
    }
}
