//! What a package brings along with a program, made from the definition of its command line: manual pages and completions. Both
//! programs have it as a hidden command, `generate`; they write what is made here.

use std::path::{Path, PathBuf};
use std::{fs, io};

use clap::{Command, Subcommand, builder::Resettable};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

#[derive(Debug, Subcommand)]
pub enum Generate {
    /// Manual pages, one for each command
    Man {
        /// Directory to write to; made when it does not exist
        directory: PathBuf,
    },
    /// A script of completions, on standard output
    Completions { shell: Shell },
}

/// Writes a page for each command that is not hidden: `trimaran.1`, `trimaran-put.1`. The directory is made if it is not there.
///
/// # Errors
/// What the file system says.
pub fn write_manual(command: &Command, section: &str, directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let pages = manual(command, section);
    pages.iter().try_for_each(|(name, text)| fs::write(directory.join(name), text))
}

/// Name and content of each page.
fn manual(command: &Command, section: &str) -> Vec<(String, Vec<u8>)> {
    let mut command = shown(command);
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, section, &mut pages);
    pages
}

fn add_pages(command: &Command, section: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    let page = Man::new(command.clone().after_help(Resettable::Reset))
        .section(section)
        .source(concat!("Trimaran ", env!("CARGO_PKG_VERSION")))
        .manual("Trimaran");
    let mut text = Vec::new();
    page.render(&mut text).expect("memory can be written to");
    if let Some(examples) = command.get_after_help() {
        let mut notes = Roff::new();
        // Line by line as they are: an example that was filled up cannot be pasted.
        notes
            .control("SH", ["NOTES"])
            .control("nf", [])
            .text([roman(examples.to_string())])
            .control("fi", []);
        notes.to_writer(&mut text).expect("memory can be written to");
    }
    pages.push((page.get_filename(), text));
    for below in command.get_subcommands() {
        add_pages(below, section, pages);
    }
}

/// The script that makes a shell complete the command.
pub fn completions(command: &Command, shell: Shell) -> Vec<u8> {
    let mut command = shown(command);
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    script
}

/// The command without those of its commands that are hidden: to be complete, the makers of scripts show them, too.
fn shown(command: &Command) -> Command {
    // clap wants names that live as long as the program, which ends soon after this.
    let name: &'static str = String::leak(command.get_name().to_owned());
    let mut shown = Command::new(name)
        .args(command.get_arguments().cloned())
        .groups(command.get_groups().cloned())
        .subcommands(command.get_subcommands().filter(|below| !below.is_hide_set()).map(self::shown))
        .subcommand_required(command.is_subcommand_required_set())
        .disable_help_flag(command.is_disable_help_flag_set())
        .disable_help_subcommand(true);
    for alias in command.get_visible_aliases() {
        shown = shown.visible_alias(&*String::leak(alias.to_owned()));
    }
    if command.get_version().is_some() {
        shown = shown.version(env!("CARGO_PKG_VERSION"));
    }
    if let Some(about) = command.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = command.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(text) = command.get_after_help() {
        shown = shown.after_help(text.clone());
    }
    shown
}

#[cfg(test)]
mod tests {
    use clap::Arg;

    use super::*;

    fn program() -> Command {
        let put = Command::new("put")
            .about("Put messages")
            .visible_alias("lay")
            .after_help("Examples:\n  shop put A\n  shop put B");
        let hidden = Command::new("secret").hide(true);
        Command::new("shop")
            .version("1")
            .arg(Arg::new("connect").long("connect").global(true))
            .subcommands([put, hidden])
    }

    #[test]
    fn every_command_has_a_page_but_those_that_are_hidden() {
        let pages = manual(&program(), "8");
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["shop.8", "shop-put.8"]);
        let text = |page: usize| String::from_utf8(pages[page].1.clone()).unwrap();
        assert!(!text(0).contains("secret"), "{}", text(0));
        // An option of the program is one of its commands, too, and an example stays a line.
        assert!(text(1).contains("connect"), "{}", text(1));
        assert!(text(1).contains(".nf\nExamples:\n  shop put A\n  shop put B\n.fi\n"), "{}", text(1));
    }

    #[test]
    fn completions_know_what_can_be_typed_and_not_what_is_hidden() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = String::from_utf8(completions(&program(), shell)).unwrap();
            assert!(["put", "lay", "connect"].iter().all(|word| script.contains(word)), "{shell}: {script}");
            assert!(!script.contains("secret"), "{shell}: {script}");
        }
    }
}
