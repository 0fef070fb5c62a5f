//! The relay's figures, each beside what it is compared with in the same run.
//!
//! `cargo xtask bench accept million deliver idle large pace calm`, or some of them; the page
//! `docs/reference/figures.md` says what each measures and what it came to. The relay, the sandbox
//! and Postfix run as processes of their own, and the kernel tells what they cost. The measured disk
//! is the one of temporary files, or of `SENDAS_BENCH_DISK`.

#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod accept;
mod calm;
mod deliver;
mod generator;
mod idle;
mod kernel;
mod large;
mod million;
mod pace;
mod postfix;
mod stage;

use stage::free_port;

/// A figure's name, and what measures it.
const FIGURES: [(&str, fn()); 7] = [
    ("accept", accept::run),
    ("million", million::run),
    ("deliver", deliver::run),
    ("idle", idle::run),
    ("large", large::run),
    ("pace", pace::run),
    ("calm", calm::run),
];

fn main() {
    let words: Vec<String> = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"))
        .collect();
    for (name, measure) in FIGURES {
        if words.is_empty() || words.iter().any(|word| word == name) {
            measure();
        }
    }
}
