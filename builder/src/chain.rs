//! A chain of layers: what a step starts from, and what it leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use rbuild_image::digest::LayerId;

/// The layers that make up a file system, with one digest over all of them. Chains that stand on each other share
/// what is below, so that all those of a build together take no more room than it has steps.
#[derive(Debug, Clone)]
pub(crate) struct Chain(Option<Arc<Link>>);

/// The uppermost layer, and what is below.
#[derive(Debug)]
struct Link {
    below: Chain,
    layer: LayerId,
    length: usize,
    digest: ChainDigest,
}

/// Identity of a whole chain: two chains with the same digest are the same file system. Unlike the image
/// specification's ChainID it is made of [`LayerId`]s, so that no SHA-256 is needed to know it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChainDigest([u8; 32]);

impl std::fmt::Display for ChainDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl Chain {
    /// The chain without a layer: `FROM scratch`.
    pub(crate) fn scratch() -> Self {
        Self(None)
    }

    /// The chain of these layers, the lowest first.
    pub(crate) fn new(layers: &[LayerId]) -> Self {
        layers.iter().fold(Self::scratch(), |below, layer| below.with(*layer))
    }

    /// This chain with one more layer on top.
    pub(crate) fn with(&self, layer: LayerId) -> Self {
        let (length, digest) = (self.length() + 1, self.digest().with(layer));
        Self(Some(Arc::new(Link { below: self.clone(), layer, length, digest })))
    }

    /// The layers, the lowest first.
    pub(crate) fn layers(&self) -> Vec<LayerId> {
        let mut layers: Vec<LayerId> = Vec::with_capacity(self.length());
        layers.extend(self.downwards());
        layers.reverse();
        layers
    }

    fn downwards(&self) -> impl Iterator<Item = LayerId> {
        std::iter::successors(self.0.as_ref(), |link| link.below.0.as_ref()).map(|link| link.layer)
    }

    fn length(&self) -> usize {
        self.0.as_ref().map_or(0, |link| link.length)
    }

    /// The layers from the uppermost to the lowest, each once: one that occurs again further down adds nothing to
    /// what it hides itself.
    pub(crate) fn stack(&self) -> Vec<LayerId> {
        let mut seen = BTreeSet::new();
        self.downwards().filter(|layer| seen.insert(*layer)).collect()
    }

    /// Identity of the whole.
    pub(crate) fn digest(&self) -> ChainDigest {
        self.0.as_ref().map_or(ChainDigest([0; 32]), |link| link.digest)
    }
}

impl Drop for Link {
    /// One link after the other: a long chain would need too much stack otherwise.
    fn drop(&mut self) {
        let mut next = self.below.0.take();
        while let Some(mut link) = next.and_then(Arc::into_inner) {
            next = link.below.0.take();
        }
    }
}

impl ChainDigest {
    /// A digest as it is printed.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(Self(*blake3::Hash::from_hex(text).ok()?.as_bytes()))
    }

    /// That of the chain with one more layer on top.
    pub(crate) fn with(self, layer: LayerId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("rbuild 2026 chain of layers");
        hasher.update(&self.0);
        hasher.update(&layer.0);
        Self(*hasher.finalize().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_chain_is_the_sum_of_its_layers() {
        let layers: Vec<LayerId> =
            (0..100_000_u32).map(|number| LayerId(*blake3::hash(&number.to_le_bytes()).as_bytes())).collect();
        let chain = Chain::new(&layers);
        assert_eq!(chain.layers(), layers);
        let below = Chain::new(&layers[..layers.len() - 1]);
        assert_eq!(below.with(layers[layers.len() - 1]).digest(), chain.digest());
        assert_ne!(below.digest(), chain.digest());
        // A layer that is there twice counts where it is uppermost.
        let twice = Chain::new(&[layers[0], layers[1], layers[0]]);
        assert_eq!(twice.stack(), [layers[0], layers[1]]);
    }
}
