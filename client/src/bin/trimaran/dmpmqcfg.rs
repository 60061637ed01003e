//! `dmpmqcfg`: what is defined, as a script that defines it again.

use trimaran_client::{ObjectDetails, proto::mqsc};

use crate::{
    arguments::{DmpmqcfgArgs, Global},
    output::{Outcome, patiently},
    say,
};

/// Kinds in the order in which they can be read again: what is named comes before what names it.
const OBJECTS: &[&str] =
    &["QMGR", "QLOCAL", "QMODEL", "QREMOTE", "QALIAS", "CHANNEL", "LISTENER", "AUTHINFO", "TOPIC"];

pub async fn run(global: &Global, args: DmpmqcfgArgs) -> Outcome {
    let connection = global.connect().await?;
    let one_line = args.format.eq_ignore_ascii_case("1line");
    let line = "*".repeat(79);
    say!("{line}");
    say!("* Queue manager name: {}", connection.queue_manager());
    say!("* Written by: Trimaran {} dmpmqcfg", env!("CARGO_PKG_VERSION"));
    say!("{line}");
    for kind in kinds(&args) {
        let name = if kind == "QMGR" || args.name == "*" { "" } else { args.name.as_str() };
        let mut objects = patiently("asking", connection.admin().display(kind, name)).await?;
        if kind == "QMGR" {
            objects.iter_mut().for_each(|manager| manager.name = connection.queue_manager());
        }
        // What goes with its program is no definition to be made again.
        let is_lasting =
            |object: &&ObjectDetails| object.status.as_ref().is_none_or(|of| of.dynamic != "TEMPDYN");
        for object in objects.iter().filter(is_lasting) {
            print(object, args.all, one_line);
        }
    }
    Ok(())
}

fn print(object: &ObjectDetails, all: bool, one_line: bool) {
    let text = mqsc::dump(object, all, one_line);
    say!("{text}");
    if !one_line {
        say!("");
    }
}

fn kinds(args: &DmpmqcfgArgs) -> Vec<&'static str> {
    let export = args.export.to_lowercase();
    let wanted = args.kind.to_uppercase();
    let is_queue = |kind: &str| matches!(kind, "QLOCAL" | "QMODEL" | "QREMOTE" | "QALIAS");
    let objects = OBJECTS.iter().copied();
    let objects =
        objects.filter(|kind| wanted == "ALL" || wanted == *kind || (wanted == "QUEUE" && is_queue(kind)));
    // Who asks for objects by a name does not ask for the queue manager.
    let objects = objects.filter(|kind| *kind != "QMGR" || wanted == "QMGR" || args.name == "*");
    let mut kinds: Vec<&str> =
        if matches!(export.as_str(), "all" | "object") { objects.collect() } else { Vec::new() };
    for (name, kind) in [("sub", "SUB"), ("authrec", "AUTHREC"), ("chlauth", "CHLAUTH")] {
        if export == name || (export == "all" && wanted == "ALL") {
            kinds.push(kind);
        }
    }
    kinds
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_none_of_the_queue_manager() {
        let of = |name: &str, kind: &str| {
            kinds(&DmpmqcfgArgs {
                all: false,
                name: name.into(),
                kind: kind.into(),
                export: "object".into(),
                format: "mqsc".into(),
            })
        };
        assert!(of("*", "all").contains(&"QMGR") && !of("ORDERS.*", "all").contains(&"QMGR"));
        assert_eq!(of("ORDERS.*", "qmgr"), ["QMGR"]);
    }
}
