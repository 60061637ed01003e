//! `trimaran generate`: manual pages, completions and names, made from what `arguments` and `control` say. Called when a package is
//! built.

use clap::CommandFactory;
use trimaran_client::proto::generate::{self, Generate};

use crate::{
    arguments::{Cli, GenerateCommand},
    control,
    output::{self, Failure, Outcome},
    say,
};

pub fn run(command: GenerateCommand) -> Outcome {
    let cli = Cli::command();
    let command = match command {
        GenerateCommand::Shared(command) => command,
        GenerateCommand::Names => {
            control::NAMES.iter().for_each(|name| say!("{name}"));
            return Ok(());
        }
    };
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
