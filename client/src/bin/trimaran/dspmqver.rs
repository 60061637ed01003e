//! `dspmqver`: the version, in the fields that MQ has for it.

use serde_json::json;
use trimaran_client::proto::attribute::CMDLEVEL;

use crate::{
    arguments::{DspmqverArgs, Global},
    output::Outcome,
    say,
};

const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), ".0");
/// What is shown when nothing else is asked for.
const USUAL: u32 = 1 | 2 | 16 | 2048;

pub fn run(global: &Global, args: DspmqverArgs) -> Outcome {
    if global.json {
        say!(
            "{}",
            json!({
                "name": "Trimaran", "version": VERSION, "os": std::env::consts::OS,
                "architecture": std::env::consts::ARCH, "max_command_level": CMDLEVEL,
            })
        );
        return Ok(());
    }
    lines(&args).iter().for_each(|line| say!("{line}"));
    Ok(())
}

/// The one there is: its name, the directory of its programs, its version.
pub fn installation() -> [String; 3] {
    let path = std::env::current_exe().ok().and_then(|path| path.canonicalize().ok());
    let path = path.and_then(|path| path.parent().map(|parent| parent.display().to_string()));
    ["Installation1".to_string(), path.unwrap_or_default(), VERSION.to_string()]
}

/// The bit of -f, MQ's title, and what stands there.
fn fields() -> [(u32, &'static str, String); 8] {
    let (os, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    let [name, path, version] = installation();
    [
        (1, "Name:", "Trimaran".to_string()),
        (2, "Version:", version),
        (16, "Platform:", format!("Trimaran for {os} ({architecture})")),
        (32, "Mode:", format!("{}-bit", usize::BITS)),
        (64, "O/S:", os.to_string()),
        (128, "InstName:", name),
        (512, "InstPath:", path),
        (2048, "MaxCmdLevel:", CMDLEVEL.to_string()),
    ]
}

fn lines(args: &DspmqverArgs) -> Vec<String> {
    let is_whole = args.all || args.verbose || args.installations;
    let wanted = args.fields.unwrap_or(if is_whole { u32::MAX } else { USUAL });
    let shown = fields().into_iter().filter(|(bit, ..)| wanted & bit != 0);
    let shown = shown.map(|(_, title, value)| match args.brief {
        true => value,
        false => format!("{title:13}{value}"),
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(fields: Option<u32>, brief: bool, all: bool) -> Vec<String> {
        let components = None;
        lines(&DspmqverArgs { all, brief, fields, installations: false, components, verbose: false })
    }

    #[test]
    fn a_script_asks_for_the_fields_it_wants() {
        assert_eq!(shown(Some(2), true, false), [VERSION]);
        assert_eq!(
            shown(Some(3), false, false),
            ["Name:        Trimaran".to_string(), format!("Version:     {VERSION}")]
        );
        assert_eq!(shown(None, false, false).len(), 4);
        assert_eq!(shown(None, false, true).len(), 8);
        assert!(shown(Some(4), false, false).is_empty(), "there is no build level");
    }
}
