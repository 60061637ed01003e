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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_and_completions() {
        let directory = tempfile::tempdir().unwrap();
        generate::write_manual(&Cli::command(), "1", directory.path()).unwrap();
        let completions = generate::completions(&Cli::command(), "bash".parse().unwrap());
        let completions = String::from_utf8(completions).unwrap();
        for name in control::NAMES.iter().filter(|name| !name.starts_with("amqs")) {
            assert!(directory.path().join(format!("trimaran-{name}.1")).exists(), "{name} has a page");
            assert!(completions.contains(name), "{name} is completed");
        }
        // `-h` is not its help.
        let page = std::fs::read_to_string(directory.path().join("trimaran-dmpmqmsg.1")).unwrap();
        assert!(
            page.contains("Strip the dead\\-letter header") && !page.contains("\\fB\\-h\\fR, \\fB\\-\\-help"),
            "{page}"
        );
    }
}
