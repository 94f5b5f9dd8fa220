//! The `s2sd` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    match args.next().as_deref() {
        Some("--version" | "-V") => say(concat!("s2sd ", env!("CARGO_PKG_VERSION"))),
        _ => say("s2sd is a library so far: see README.md for what works today."),
    }
}

#[expect(clippy::print_stdout, reason = "a command-line tool answers on standard output")]
fn say(line: &str) -> ExitCode {
    println!("{line}");
    ExitCode::SUCCESS
}
