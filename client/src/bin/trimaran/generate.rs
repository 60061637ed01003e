//! `trimaran generate`: manual pages and completions, made from what `arguments` says. Called when a package is built.

use std::{fs, path::Path};

use clap::CommandFactory;
use trimaran_client::proto::generate::{self, Generate};

use crate::{
    arguments::Cli,
    output::{self, Failure, Outcome},
};

pub fn run(command: Generate) -> Outcome {
    let cli = Cli::command();
    match command {
        Generate::Man { directory } => {
            write_pages(&generate::manual(&cli, "1"), &directory).map_err(|error| {
                Failure::Local(format!("write manual pages to {}: {error}", directory.display()))
            })
        }
        Generate::Completions { shell } => {
            output::write(&generate::completions(&cli, shell));
            Ok(())
        }
    }
}

fn write_pages(pages: &[(String, Vec<u8>)], directory: &Path) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    pages.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}
