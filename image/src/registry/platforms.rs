//! Which manifest of an index fits a platform.

use crate::manifest::{Descriptor, Index};
use crate::platform::Platform;

/// The manifest for `wanted`, or for the best that can run on it, as containerd chooses. Of equals, the first.
pub(super) fn choose<'a>(index: &'a Index, wanted: &Platform) -> Option<&'a Descriptor> {
    let images = || index.manifests.iter().filter(|entry| entry.is_image_manifest() || entry.is_index());
    let fitting = wanted.runs().into_iter().find_map(|candidate| {
        images().find(|entry| entry.platform.as_ref().is_some_and(|platform| candidate.accepts(platform)))
    });
    // An index without platforms has one image for everybody.
    fitting.or_else(|| {
        let mut all = images();
        all.next().filter(|only| only.platform.is_none() && all.next().is_none())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::{BlobDigest, Digest};
    use crate::manifest::{annotation, media_type};

    fn index(platforms: &[&str]) -> Index {
        let entries = platforms.iter().map(|text| {
            let mut entry =
                Descriptor::new(media_type::OCI_MANIFEST, BlobDigest(Digest::of(text.as_bytes())), 1);
            match *text {
                "attestation" => {
                    entry
                        .annotations
                        .insert(annotation::REFERENCE_TYPE.into(), "attestation-manifest".into());
                    entry.platform = Some(Platform::new("unknown", "unknown", None));
                }
                "" => {}
                text => entry.platform = Some(text.parse().unwrap()),
            }
            entry
        });
        Index {
            schema_version: 2,
            media_type: media_type::OCI_INDEX.into(),
            manifests: entries.collect(),
            annotations: Default::default(),
        }
    }

    #[test]
    fn the_best_that_runs_is_chosen() {
        for (there, wanted, expected) in [
            (&["attestation", "linux/arm64", "linux/amd64"][..], "linux/amd64", Some("linux/amd64")),
            (&["linux/amd64", "linux/amd64/v3"], "linux/amd64/v3", Some("linux/amd64/v3")),
            (&["linux/amd64", "linux/amd64/v3"], "linux/amd64/v2", Some("linux/amd64")),
            (&["linux/386"], "linux/amd64", Some("linux/386")),
            (&["linux/amd64"], "linux/386", None),
            (&["linux/arm/v5", "linux/arm/v6"], "linux/arm/v7", Some("linux/arm/v6")),
            (&["linux/arm/v7", "linux/arm64/v8"], "linux/arm64", Some("linux/arm64/v8")),
            (&["windows/amd64"], "linux/amd64", None),
            (&[""], "linux/s390x", Some("")),
            (&["", ""], "linux/s390x", None),
            (&["attestation"], "linux/amd64", None),
        ] {
            let index = index(there);
            let found = choose(&index, &wanted.parse().unwrap());
            let expected = expected.map(|text| BlobDigest(Digest::of(text.as_bytes())));
            assert_eq!(found.map(|entry| entry.digest), expected, "{there:?} {wanted}");
        }
    }
}
