//! COPY, ADD and WORKDIR on folders of a test: the rows of the spec's catalogue that are about files.

mod add;
mod copying;
mod digests;
mod ground;
mod speed;
mod workdir;
