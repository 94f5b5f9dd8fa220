//! The `s2sd` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    s2sd::cli::main()
}
