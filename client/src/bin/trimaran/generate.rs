//! `trimaran generate`: manual pages and completions, made from what `arguments` says. Called when a package is built.

use clap::CommandFactory;
use trimaran_client::proto::generate::{self, Generate};

use crate::{
    arguments::Cli,
    output::{self, Failure, Outcome},
};

pub fn run(command: Generate) -> Outcome {
    let cli = Cli::command();
    match command {
        Generate::Man { directory } => generate::write_manual(&cli, "1", &directory).map_err(|error| {
            Failure::Local(format!("write manual pages to {}: {error}", directory.display()))
        }),
        Generate::Completions { shell } => {
            output::write(&generate::completions(&cli, shell));
            Ok(())
        }
    }
}
