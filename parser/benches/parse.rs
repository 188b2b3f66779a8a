//! How fast Dockerfiles are parsed: `cargo bench -p rbuild-parser --bench parse`.
//!
//! Each text (or those whose name contains the first argument) is parsed for about a second; what is printed is the
//! fastest round, since everything else measures the machine's other work.
#![expect(clippy::print_stdout, reason = "a benchmark reports on the terminal")]

use std::hint::black_box;
use std::time::{Duration, Instant};

/// What an ordinary project has.
const ORDINARY: &str = r#"# syntax=docker/dockerfile:1
ARG VERSION=1.22
# builds the program
FROM --platform=$BUILDPLATFORM golang:${VERSION} AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod \
    --mount=type=bind,source=vendor,target=/vendor \
    go mod download && \
    # a comment in between
    go mod verify
COPY --chown=65532:65532 --link . .
ENV CGO_ENABLED=0 GOFLAGS="-trimpath -mod=readonly" \
    TITLE='a longer title'
RUN <<EOF
set -eu
go build -o /out/program ./cmd/program
strip /out/program
EOF

FROM scratch
LABEL org.opencontainers.image.title="program" org.opencontainers.image.version="${VERSION}"
COPY --from=build /out/program /program
EXPOSE 8080 8443/tcp
HEALTHCHECK --interval=30s --timeout=3s CMD ["/program", "health"]
USER 65532:65532
ENTRYPOINT ["/program"]
CMD ["serve", "--listen", ":8080"]
"#;

fn main() {
    // `cargo test --benches` runs this, too; once is enough then.
    let quick = std::env::args().any(|argument| argument == "--test");
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let time = if quick { Duration::ZERO } else { Duration::from_secs(1) };
    let ordinary = ORDINARY.repeat(200);
    let short = format!("FROM x\n{}", "ENV a=b\n".repeat(50_000));
    let script = format!("FROM x\nRUN <<EOF\n{}EOF\n", "echo a line of a script\n".repeat(20_000));
    let joined = format!("FROM x\nRUN true{}\n", " && \\\n    make target".repeat(20_000));
    let commands = format!("FROM x\n{}", "RUN make -j4 all\n".repeat(50_000));
    let shortest = format!("FROM x\n{}", "RUN a\n".repeat(50_000));
    let labels = format!(
        "FROM x\n{}",
        "LABEL org.opencontainers.image.title=\"a title\" org.opencontainers.image.version=$V\n"
            .repeat(10_000)
    );
    let copies =
        format!("FROM x\n{}", "COPY --chown=app:app --from=build /out/program /usr/bin/\n".repeat(10_000));
    for (name, text) in [
        ("ordinary files", ordinary),
        ("short commands", commands),
        ("shortest commands", shortest),
        ("labels", labels),
        ("copies", copies),
        ("short instructions", short),
        ("one script", script),
        ("one long RUN", joined),
    ] {
        if !name.contains(&wanted) {
            continue;
        }
        let parsed = rbuild_parser::parse(text.as_bytes());
        assert_eq!(parsed.errors, [], "{name} can be parsed");
        println!("{name:20} {:8.1} MB/s", fastest(text.as_bytes(), time));
    }
}

/// Megabytes (10^6 bytes) a second.
fn fastest(text: &[u8], time: Duration) -> f64 {
    let started = Instant::now();
    let mut best = Duration::MAX;
    while best == Duration::MAX || started.elapsed() < time {
        let round = Instant::now();
        black_box(rbuild_parser::parse(black_box(text)));
        best = best.min(round.elapsed());
    }
    let bytes = u32::try_from(text.len()).map_or(f64::MAX, f64::from);
    bytes / best.as_secs_f64() / 1e6
}
