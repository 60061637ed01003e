//! What is written behind flags: ids, times, nodes and their hosts.

use std::time::Duration;

use trimaran_client::{FOREVER, unhex};

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
        length => Err(format!("an id has 1 to 24 bytes, this one has {length}")),
    }
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
    }

    #[test]
    fn ids_are_text_or_hexadecimal() {
        assert_eq!(&*parse_id("order 1").unwrap(), b"order 1");
        assert_eq!(&*parse_id("0x00ff").unwrap(), [0, 255]);
        assert!(parse_id("0x0").is_err());
        assert!(parse_id("a text that is longer than an id").is_err());
    }
}
