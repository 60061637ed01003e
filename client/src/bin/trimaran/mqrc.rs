//! `mqrc`: reason codes by number and by name.

use serde_json::json;
use trimaran_client::REASONS;

use crate::{
    arguments::{Global, MqrcArgs},
    output::{Failure, Outcome},
    say,
};

macro_rules! texts {
    ($($number:literal $rust:ident $name:ident $text:literal)*) => {
        const TEXTS: &[(u32, &str)] = &[$(($number, $text)),*];
    };
}

trimaran_client::proto::reasons!(texts);

pub fn run(global: &Global, args: MqrcArgs) -> Outcome {
    let text = args.reason.trim();
    let number = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    let wanted = text.to_ascii_uppercase();
    let wanted = wanted.strip_prefix("MQRC_").or(wanted.strip_prefix("MQRCCF_")).unwrap_or(&wanted);
    let found =
        REASONS.iter().find(|(of, name)| Some(*of) == number || (number.is_none() && *name == wanted));
    let Some((number, name)) = found else {
        let text = format!(
            "{text} is no reason that a queue manager here gives; `trimaran help reasons` lists them."
        );
        return Err(Failure::Control { code: 1, text });
    };
    let prefix = if *number > 3000 { "MQRCCF" } else { "MQRC" };
    let said = TEXTS.iter().find(|(of, _)| of == number).map_or("", |(_, text)| *text);
    if global.json {
        say!("{}", json!({ "reason": number, "name": name, "text": said }));
        return Ok(());
    }
    say!("");
    say!("{number:10}  0x{number:08x}  {prefix}_{name}");
    say!("");
    if !said.is_empty() {
        say!("{said}");
    }
    Ok(())
}
