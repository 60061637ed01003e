//! A client-connection channel, and MQSERVER, which is one on a line.

use crate::error::{Error, Result};

/// The port of an address that has none.
pub(super) const PORT: u16 = 1414;
/// What a channel's name may have besides letters and digits, and how long it may be.
const NAME_MARKS: &[u8] = b"./_%";
const NAME_BYTES_MAX: usize = 20;

/// A client-connection channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Definition {
    /// Where it is written, for people: a variable, or a file and its entry.
    pub place: String,
    /// The name of the server-connection channel: at most 20 characters.
    pub channel: String,
    /// Each as `host:port`, in the order in which they are tried.
    pub addresses: Vec<String>,
    /// QMNAME: the queue manager, or the group of them, that a table has it for; empty for programs that name none.
    pub queue_manager: String,
    /// SSLCIPH; empty is without TLS.
    pub cipher: String,
    /// CLNTWGHT: 0, or 1 to 99 for a part in chance.
    pub weight: u8,
    /// What chance among channels with a weight goes by.
    pub affinity: Affinity,
    /// Something that is asked for and that this client does not do. Who uses the channel refuses.
    pub not_done: Option<&'static str>,
}

/// AFFINITY: what chance among channels with a weight goes by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Affinity {
    /// All programs of a host find the same order.
    #[default]
    Preferred,
    /// Each connection draws anew.
    None,
}

impl Definition {
    /// A channel without TLS for whatever queue manager is there.
    pub(super) fn plain(place: &str, channel: &str, addresses: Vec<String>) -> Definition {
        Definition {
            place: place.to_string(),
            channel: channel.to_string(),
            addresses,
            queue_manager: String::new(),
            cipher: String::new(),
            weight: 0,
            affinity: Affinity::default(),
            not_done: None,
        }
    }

    /// What MQSERVER says: `CHANNEL/TCP/host(port)`, with more addresses behind commas.
    ///
    /// # Errors
    /// [`Error::Invalid`] with what is wrong, and how it is written.
    pub fn of_mqserver(text: &str) -> Result<Definition> {
        let wrong = |what: String| {
            Error::Invalid(format!(
                "MQSERVER is \"{text}\", {what}; write MQSERVER='CHANNEL/TCP/host(1414)', with several addresses as \
                 'CHANNEL/TCP/one(1414),two(1414)'"
            ))
        };
        let mut parts = text.trim().splitn(3, '/');
        let (Some(channel), Some(transport), Some(addresses)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(wrong("which has not three parts between slashes".into()));
        };
        check_name(channel).map_err(|what| wrong(format!("and \"{channel}\" {what}")))?;
        if !transport.eq_ignore_ascii_case("TCP") {
            return Err(wrong(format!("and there is no transport \"{transport}\" here, only TCP")));
        }
        let addresses = connection_names(addresses.trim_matches('\'')).map_err(&wrong)?;
        Ok(Definition::plain("MQSERVER", channel, addresses))
    }
}

/// Whether it can be the name of a channel, or what is wrong with it.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_known = |byte: u8| byte.is_ascii_alphanumeric() || NAME_MARKS.contains(&byte);
    match name.len() {
        0 => Err("is no name of a channel"),
        1..=NAME_BYTES_MAX if name.bytes().all(is_known) => Ok(()),
        1..=NAME_BYTES_MAX => Err("is no name of a channel: it has letters, digits and ./_% only"),
        _ => Err("is no name of a channel: it has at most 20 characters"),
    }
}

/// CONNAME: `host(port)`, or a host alone, several of them behind commas.
fn connection_names(text: &str) -> Result<Vec<String>, String> {
    text.split(',').map(|name| connection_name(name.trim())).collect()
}

fn connection_name(text: &str) -> Result<String, String> {
    let (host, port) = match text.split_once('(') {
        None => (text, PORT),
        Some((host, rest)) => {
            let port = rest.strip_suffix(')').and_then(|port| port.trim().parse().ok());
            let port =
                port.filter(|port| *port > 0).ok_or(format!("and \"{text}\" has no port in brackets"))?;
            (host.trim(), port)
        }
    };
    check_host(host).map_err(|what| format!("and {what}"))?;
    Ok(address(host, port))
}

/// Whether it can be a host: a name or an address, without a port.
pub(super) fn check_host(host: &str) -> Result<(), String> {
    let bare = bare(host);
    if bare.is_empty() {
        return Err("a host is missing".into());
    }
    match host.rsplit_once(':') {
        Some((host, port)) if bare.parse::<std::net::Ipv6Addr>().is_err() => {
            Err(format!("the port of \"{host}:{port}\" stands behind a colon in place of brackets"))
        }
        _ if host.contains(|c: char| c.is_whitespace() || "()/'\"".contains(c)) => {
            Err(format!("\"{host}\" is no host"))
        }
        _ => Ok(()),
    }
}

fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// As a socket wants it; an address of IPv6 in brackets.
pub(super) fn address(host: &str, port: u16) -> String {
    let host = bare(host);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mqserver_has_a_channel_and_addresses() {
        for (text, channel, addresses) in [
            ("APP.SVRCONN/TCP/mq.example.com(1415)", "APP.SVRCONN", &["mq.example.com:1415"][..]),
            ("APP.SVRCONN/tcp/'9.20.4.56(2002)'", "APP.SVRCONN", &["9.20.4.56:2002"]),
            ("A/TCP/MCID66499", "A", &["MCID66499:1414"]),
            (" A/TCP/one(1414), two(1415),three ", "A", &["one:1414", "two:1415", "three:1414"]),
            (
                "A/TCP/::1(1414),[fe80::2](1415),fe80::3",
                "A",
                &["[::1]:1414", "[fe80::2]:1415", "[fe80::3]:1414"],
            ),
        ] {
            let definition = Definition::of_mqserver(text).unwrap();
            assert!(definition.cipher.is_empty() && definition.place == "MQSERVER");
            assert_eq!(
                (definition.channel.as_str(), definition.addresses),
                (channel, addresses.iter().map(ToString::to_string).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn a_wrong_mqserver_is_shown_with_what_is_wrong_and_how_it_is_written() {
        for (text, what) in [
            ("APP.SVRCONN", "three parts"),
            ("APP.SVRCONN/host(1414)", "three parts"),
            ("/TCP/host(1414)", "\"\" is no name of a channel"),
            ("A CHANNEL/TCP/host(1414)", "letters, digits and ./_% only"),
            ("A.CHANNEL.WITH.A.LONG.NAME/TCP/host", "at most 20 characters"),
            ("A/LU62/BOX99", "no transport \"LU62\""),
            ("A/TCP/", "a host is missing"),
            ("A/TCP/one(1414),", "a host is missing"),
            ("A/TCP/host(port)", "\"host(port)\" has no port in brackets"),
            ("A/TCP/host(0)", "no port in brackets"),
            ("A/TCP/host(1414", "no port in brackets"),
            ("A/TCP/host(70000)", "no port in brackets"),
            ("A/TCP/host:1414", "\"host:1414\" stands behind a colon"),
            ("A/TCP/ho st(1414)", "\"ho st\" is no host"),
        ] {
            let text_of_error = Definition::of_mqserver(text).unwrap_err().to_string();
            assert!(
                text_of_error.contains(what)
                    && text_of_error.contains(&format!("MQSERVER is \"{text}\""))
                    && text_of_error.contains("write MQSERVER='CHANNEL/TCP/host(1414)'"),
                "{text_of_error}"
            );
        }
    }
}
