//! Examples and what else stands behind the options of a command: printed as it is written.
//!
//! clap breaks every line of a help that is longer than the terminal is wide, and an example that was broken cannot be
//! pasted. So clap is given a mark in place of such a text, and the text is put there when the help is printed; the
//! terminal goes on with a long line without breaking it.

use clap::{Command, error::ErrorKind};

/// Stands around the number of a text. Nobody's letter: no text has it.
const MARK: char = '\u{e000}';

/// The texts that were taken from a command and its subcommands.
pub struct Tails(Vec<String>);

/// The command with a mark in place of each text.
pub fn take(command: Command) -> (Command, Tails) {
    let mut tails = Vec::new();
    let command = take_into(command, &mut tails);
    (command, Tails(tails))
}

fn take_into(command: Command, tails: &mut Vec<String>) -> Command {
    let tail = command.get_after_help().map(ToString::to_string);
    let command = match tail {
        None => command,
        Some(tail) => {
            tails.push(tail);
            command.after_help(format!("{MARK}{}{MARK}", tails.len() - 1))
        }
    };
    // `--priority -1` gives a value that is refused as a value, and no option that nobody knows.
    let command = command.mut_args(|arg| match arg.get_long().is_some() && arg.get_action().takes_values() {
        true => arg.allow_negative_numbers(true),
        false => arg,
    });
    command.mut_subcommands(|subcommand| take_into(subcommand, tails))
}

impl Tails {
    /// A help as clap made it, with its text.
    pub fn put_back(&self, help: &str) -> String {
        let mut pieces = help.split(MARK);
        let mut whole = pieces.next().unwrap_or_default().to_string();
        while let (Some(number), Some(rest)) = (pieces.next(), pieces.next()) {
            let tail = number.parse::<usize>().ok().and_then(|number| self.0.get(number));
            whole.push_str(tail.map_or("", String::as_str));
            whole.push_str(rest);
        }
        whole
    }

    /// The help that was asked for; None for another error.
    pub fn help_of(&self, error: &clap::Error, with_colours: bool) -> Option<String> {
        let is_help = matches!(
            error.kind(),
            ErrorKind::DisplayHelp | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
        );
        let text = error.render();
        let text = || if with_colours { text.ansi().to_string() } else { text.to_string() };
        is_help.then(|| self.put_back(&text()))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::arguments::Cli;

    fn check(command: &Command, narrow: &mut Command, tails: &Tails) -> usize {
        let written = command.get_after_help().map(ToString::to_string);
        let help = tails.put_back(&narrow.render_long_help().to_string());
        for line in written.iter().flat_map(|text| text.lines()) {
            assert!(help.lines().any(|shown| shown == line), "{}: {line}", command.get_name());
        }
        let below = command.get_subcommands().map(|sub| {
            let narrow = narrow.find_subcommand_mut(sub.get_name()).expect("the same commands");
            check(sub, narrow, tails)
        });
        usize::from(written.is_some()) + below.sum::<usize>()
    }

    #[test]
    fn an_example_is_one_line_however_narrow_the_terminal_is() {
        let (narrow, tails) = take(Cli::command());
        let mut narrow = narrow.term_width(40);
        narrow.build();
        let checked = check(&Cli::command(), &mut narrow, &tails);
        assert!(checked > 25, "only {checked} commands have a text behind their options");
    }

    #[test]
    fn help_is_told_from_what_cannot_be_understood() {
        let (command, tails) = take(Cli::command());
        let asked = |words: &[&str]| command.clone().try_get_matches_from(words).unwrap_err();
        let help = tails.help_of(&asked(&["trimaran", "unit", "--help"]), false).unwrap();
        assert!(help.contains("| trimaran unit\n"), "{help}");
        assert!(tails.help_of(&asked(&["trimaran", "units"]), false).is_none());
    }
}
