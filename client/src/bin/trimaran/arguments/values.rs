//! What is written behind flags: ids, times, nodes and their hosts.

use std::time::Duration;

use trimaran_client::{FOREVER, REASONS, proto::calendar::Moment, unhex};

/// An MQ id: at most 24 bytes.
pub type Id = std::sync::Arc<[u8]>;

#[derive(Clone, Debug)]
pub struct NamedHosts {
    pub name: String,
    pub hosts: Vec<String>,
}

pub fn parse_id(text: &str) -> Result<Id, String> {
    let bytes = match text.strip_prefix("0x") {
        Some(digits) => unhex(digits).ok_or("after 0x there must be an even number of hexadecimal digits")?,
        None => text.as_bytes().to_vec(),
    };
    match bytes.len() {
        1..=24 => Ok(bytes.into()),
        _ if unhex(text).is_some_and(|bytes| bytes.len() <= 24) => Err(format!(
            "an id has 1 to 24 bytes; if these are hexadecimal digits, write 0x in front of them: 0x{text}"
        )),
        length => Err(format!("an id has 1 to 24 bytes, this one has {length}")),
    }
}

/// Of a node or a queue manager: a script whose variable is not set names nobody, and means nobody else.
pub fn parse_name(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("an empty name names nobody: write one, or leave it out where it may be left out".into()),
        _ => Ok(text.to_owned()),
    }
}

/// A reason code by its number or its name, with or without MQRC_ in front.
pub fn parse_reason(text: &str) -> Result<u32, String> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let name = text.to_ascii_uppercase();
    let name = name.strip_prefix("MQRC_").unwrap_or(&name);
    let found = REASONS.iter().find(|(_, of)| *of == name).map(|(number, _)| *number);
    found.ok_or_else(|| {
        "write a number or a name that `trimaran help reasons` lists: 2053 or Q_FULL".to_string()
    })
}

pub fn parse_named_hosts(text: &str) -> Result<NamedHosts, String> {
    let (name, hosts) = text.split_once('=').ok_or("write NAME=HOST")?;
    let hosts = hosts.split('+').map(|host| parse_host(name, host.trim()));
    let hosts = hosts.collect::<Result<Vec<String>, String>>()?;
    let name_is_good =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if !name_is_good {
        return Err(format!("\"{name}\" is not a name for a node; use letters, digits, - _ ."));
    }
    if hosts.iter().any(String::is_empty) {
        return Err(format!("node {name} has no host; write {name}=HOST"));
    }
    Ok(NamedHosts { name: name.to_string(), hosts })
}

/// A name or an address, IPv6 also in brackets, without a port.
fn parse_host(node: &str, host: &str) -> Result<String, String> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let is_address = bare.parse::<std::net::IpAddr>().is_ok();
    let is_name =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
    if is_address || is_name(host) {
        return Ok(bare.to_string());
    }
    match host.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => Err(format!(
            "write {node}={host}: a host without a port; `cluster init` takes ports with --ports"
        )),
        _ => Err(format!("\"{host}\" is neither the name of a host nor an address")),
    }
}

/// Milliseconds since 1970.
pub fn parse_moment(text: &str) -> Result<i64, String> {
    Moment::parse(text)
        .ok_or_else(|| "write a day as 2026-11-01, or a time as 2026-11-01T08:30:00Z (UTC)".to_string())
}

/// Less than 100.
pub fn parse_per_cent(text: &str) -> Result<f64, String> {
    let number = text.trim().trim_end_matches('%').trim().parse().ok();
    number
        .filter(|number| (0.0..100.0).contains(number))
        .ok_or_else(|| "write a number below 100, such as 99.99".to_string())
}

/// `500ms`, `5s`, `2m`, `1h`, a number of seconds, or `forever`.
pub fn parse_wait(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("forever") {
        return Ok(FOREVER);
    }
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..split].parse().map_err(|_| "write a time like 500ms, 5s, 2m, 1h or forever")?;
    let seconds = match text[split..].trim() {
        "ms" => number / 1000.0,
        "" | "s" => number,
        "m" | "min" => number * 60.0,
        "h" => number * 3600.0,
        "d" => number * 86_400.0,
        unit => return Err(format!("\"{unit}\" is not a unit of time; use ms, s, m, h or d")),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| "that is too long a time; write forever".to_string())
}

/// A time after which a message vanishes: as [`parse_wait`], and no longer than can be counted.
pub fn parse_expiry(text: &str) -> Result<Duration, String> {
    // MQ counts tenths of a second in 31 bits.
    const MOST_S: u64 = i32::MAX as u64 / 10;
    match parse_wait(text)? {
        FOREVER => Err("leave --expiry out for a message that never vanishes".to_string()),
        expiry if expiry.as_secs() > MOST_S => {
            Err(format!("a message can wait for {MOST_S} seconds at most (6.8 years)"))
        }
        expiry => Ok(expiry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_wait("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_wait("1.5 h"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse_wait("3"), Ok(Duration::from_secs(3)));
        assert_eq!(parse_wait("forever"), Ok(FOREVER));
        assert!(parse_wait("5 parsecs").is_err());
        assert!(parse_wait("-1s").is_err());
        assert_eq!(parse_expiry("1h"), Ok(Duration::from_secs(3600)));
        assert!(parse_expiry("100000000h").unwrap_err().contains("at most"));
        assert!(parse_expiry("forever").unwrap_err().contains("leave --expiry out"));
    }

    #[test]
    fn ids_are_text_or_hexadecimal() {
        assert_eq!(&*parse_id("order 1").unwrap(), b"order 1");
        assert_eq!(&*parse_id("0x00ff").unwrap(), [0, 255]);
        assert!(parse_id("0x0").is_err());
        assert!(parse_id("a text that is longer than an id").is_err());
        // As --json prints it.
        let refused = parse_id(&"0a".repeat(24)).unwrap_err();
        assert!(refused.contains("write 0x in front"), "{refused}");
    }

    #[test]
    fn reasons_have_numbers_and_names() {
        assert_eq!((parse_reason("2053"), parse_reason("mqrc_q_full")), (Ok(2053), Ok(2053)));
        assert!(parse_reason("FULL").unwrap_err().contains("help reasons"));
    }
}
