//! Chains of layers as one tree.

use std::io::Read;

use super::support::{Scratch, flavour, paths, skip_unless_root};
use crate::layer::{Follow, LayerError, View};

fn view(layers: &[&Scratch]) -> View {
    View::new(layers.iter().map(|layer| layer.fd()).collect(), flavour())
}

fn read(view: &View, path: &str) -> String {
    let node = view.lookup(path.as_bytes(), Follow::Last).unwrap().unwrap();
    let mut text = String::new();
    std::fs::File::from(node.open().unwrap()).read_to_string(&mut text).unwrap();
    text
}

#[test]
fn upper_layers_hide_lower_ones() {
    if skip_unless_root("upper_layers_hide_lower_ones") {
        return;
    }
    let (low, mid, top) = (Scratch::new(), Scratch::new(), Scratch::new());
    low.dir("d/sub")
        .file("d/a", "low")
        .file("d/b", "low")
        .file("d/sub/x", "")
        .dir("o")
        .file("o/old", "")
        .file("f", "low");
    mid.dir("d")
        .file("d/a", "mid")
        .whiteout("d/b")
        .dir("o")
        .opaque("o")
        .file("o/new", "")
        .dir("f")
        .file("f/in", "");
    top.dir("d").whiteout("d/sub").dir("o").file("o/newer", "").file("d/c", "top");
    let all = view(&[&top, &mid, &low]);
    assert_eq!(paths(&all), ["d/", "d/a", "d/c", "f/", "f/in", "o/", "o/new", "o/newer"]);
    assert_eq!(read(&all, "/d/a"), "mid");
    assert!(all.lookup(b"d/b", Follow::Last).unwrap().is_none());
    assert!(all.lookup(b"d/sub/x", Follow::Last).unwrap().is_none());
    assert!(matches!(all.lookup(b"d/a/x", Follow::Last), Err(LayerError::NotADirectory { .. })));
    // A file between two directories separates them.
    let (upper, middle) = (Scratch::new(), Scratch::new());
    upper.dir("d").file("d/only", "");
    middle.file("d", "a file");
    assert_eq!(paths(&view(&[&upper, &middle, &low]))[..2], ["d/", "d/only"]);
}

#[test]
fn links_are_resolved_inside() {
    let (low, top) = (Scratch::new(), Scratch::new());
    low.dir("usr/lib")
        .file("usr/lib/so", "so")
        .link("lib", "usr/lib")
        .link("abs", "/usr/../lib/so")
        .link("up", "../../..");
    top.link("usr-link", "up/usr").link("loop", "loop2").link("loop2", "loop").link("dangling", "no/where");
    let all = view(&[&top, &low]);
    for path in ["lib/so", "abs", "up/lib/so", "usr-link/lib/so", "../../lib/./so", "up/up/abs"] {
        assert_eq!(read(&all, path), "so", "{path}");
        let located = all.locate(path.as_bytes(), Follow::Last).unwrap();
        assert_eq!(located.path, b"usr/lib/so", "{path}");
    }
    assert!(matches!(all.lookup(b"loop", Follow::Last), Err(LayerError::TooManyLinks { .. })));
    assert!(all.lookup(b"loop", Follow::Never).unwrap().is_some());
    assert_eq!(all.locate(b"dangling", Follow::Last).unwrap().path, b"no/where");
    assert_eq!(all.locate(b"lib/new/x/../y", Follow::Last).unwrap().path, b"usr/lib/new/y");
    assert_eq!(all.locate(b"/", Follow::Last).unwrap().path, b"");
    assert_eq!(all.lookup(b"lib", Follow::Never).unwrap().unwrap().read_link().unwrap(), b"usr/lib");
}

#[test]
fn two_hundred_layers_are_no_trouble() {
    let layers: Vec<Scratch> = (0..200).map(|_| Scratch::new()).collect();
    for (index, layer) in layers.iter().enumerate() {
        layer.dir("shared").file(&format!("shared/{index}"), "").file("shared/all", &index.to_string());
    }
    let all = view(&layers.iter().collect::<Vec<_>>());
    assert_eq!(all.dir(b"shared").unwrap().unwrap().children().unwrap().len(), 201);
    assert_eq!(read(&all, "shared/all"), "0");
    assert_eq!(read(&all, "shared/199"), "");
}
