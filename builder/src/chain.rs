//! A chain of layers: what a step starts from, and what it leads to.

use std::collections::BTreeSet;
use std::sync::Arc;

use rbuild_image::digest::LayerId;

/// The layers that make up a file system, the lowest first, with one digest over all of them.
#[derive(Debug, Clone)]
pub(crate) struct Chain(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    layers: Vec<LayerId>,
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
        Self::new(&[])
    }

    /// The chain of these layers, the lowest first.
    pub(crate) fn new(layers: &[LayerId]) -> Self {
        let digest = layers.iter().fold(ChainDigest([0; 32]), |below, layer| below.with(*layer));
        Self(Arc::new(Inner { layers: layers.to_vec(), digest }))
    }

    /// This chain with one more layer on top.
    pub(crate) fn with(&self, layer: LayerId) -> Self {
        let mut layers = Vec::with_capacity(self.0.layers.len() + 1);
        layers.extend_from_slice(&self.0.layers);
        layers.push(layer);
        Self(Arc::new(Inner { layers, digest: self.0.digest.with(layer) }))
    }

    /// The layers, the lowest first.
    pub(crate) fn layers(&self) -> &[LayerId] {
        &self.0.layers
    }

    /// The layers from the uppermost to the lowest, each once: one that occurs again further down adds nothing to
    /// what it hides itself.
    pub(crate) fn stack(&self) -> Vec<LayerId> {
        let mut seen = BTreeSet::new();
        self.0.layers.iter().rev().copied().filter(|layer| seen.insert(*layer)).collect()
    }

    /// Identity of the whole.
    pub(crate) fn digest(&self) -> ChainDigest {
        self.0.digest
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
