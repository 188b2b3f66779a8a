//! The Dockerfile cases of `fixtures/conformance`, built with rbuild and compared with what BuildKit made of them.
//!
//! Rooms: [`case`] reads a case, [`workspace`] lays out its files and [`prepare`] makes those that git cannot keep
//! (with [`archive`] for tars), `support::server` answers `ADD http://…`, [`image`] and [`tree`] read what was built,
//! [`describe`] puts it into the words of an expectation, [`compare`] finds the differences, [`runner`] does one
//! case and [`cases`] all of them.
//!
//! Nothing of rbuild's own code is used to read images: a mistake there cannot hide itself here.

mod archive;
mod case;
mod cases;
mod compare;
mod describe;
mod image;
mod prepare;
mod runner;
mod tree;
mod workspace;
