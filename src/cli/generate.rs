//! `s2sd generate`: what a package holds beside the program, made by the program itself so that it
//! cannot be out of date.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, ValueEnum};
use clap_complete::Shell;

use super::{CommandLine, fail, manual};

/// What `s2sd generate` takes.
#[derive(clap::Args, Debug)]
pub struct GenerateArguments {
    /// What to write.
    #[arg(value_enum)]
    what: GeneratedDocument,
    /// The directory to write it to; made if it is not there.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum GeneratedDocument {
    /// The manual pages `s2sd.8`, `s2sd.toml.5` and `s2sd-json.5`.
    Man,
    /// Completions for bash, zsh and fish.
    Completions,
}

/// Writes the files.
pub fn generate(arguments: &GenerateArguments) -> ExitCode {
    let GenerateArguments { what, directory } = arguments;
    let written = fs::create_dir_all(directory).and_then(|()| match what {
        GeneratedDocument::Man => man(directory),
        GeneratedDocument::Completions => completions(directory),
    });
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(format_args!("{}: {error}", directory.display())),
    }
}

fn man(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("s2sd.8"), manual::of_command(CommandLine::command())?)?;
    fs::write(directory.join("s2sd.toml.5"), manual::of_file())?;
    fs::write(directory.join("s2sd-json.5"), manual::json::page())
}

fn completions(directory: &Path) -> io::Result<()> {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut CommandLine::command(), "s2sd", directory)?;
    }
    Ok(())
}
