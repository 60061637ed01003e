//! From MQ's variables to a connection: the channels that are meant, one after the other, and each of their addresses.

use std::time::Duration;

use trimaran_client::channel::{Channel, Login};
use trimaran_client::client_channel::{Chance, Definition, Source, asked_of};
use trimaran_client::{Tls, proto::mq::cipher_spec::CipherSpec, reason};

use super::reason_of;
use crate::arguments::Global;
use crate::line::in_time;

/// MQRC_KEY_REPOSITORY_ERROR, which only clients give.
const KEY_REPOSITORY_ERROR: u32 = 2381;
/// MQRC_SSL_INITIALIZATION_ERROR.
const SSL_INITIALIZATION_ERROR: u32 = 2393;

/// Why nothing was connected to: MQ's reason code, and every attempt in a sentence.
#[derive(Debug)]
pub struct Refusal {
    pub reason: u32,
    pub text: String,
}

/// Connects as MQ's variables say. `queue_manager` is empty, a name, or a group behind an asterisk.
pub async fn connect(
    global: &Global,
    program: &str,
    queue_manager: &str,
    login: Option<&Login>,
) -> Result<Channel, Refusal> {
    let source = Source::of_environment(|name| std::env::var(name).ok(), |path| std::fs::read(path));
    let channels = source.and_then(|source| source.channels(queue_manager, chance()));
    // What MQ's clients say where no channel is found for a queue manager, whatever the cause.
    let channels = channels
        .map_err(|error| Refusal { reason: reason::Q_MGR_NAME_ERROR, text: format!("trimaran: {error}") })?;
    let count = channels.iter().map(|channel| channel.addresses.len()).sum::<usize>().max(1) as u32;
    let patience = (global.patience() / count).max(Duration::from_secs(1));
    let (_, name) = asked_of(queue_manager);
    let tls = global.tls();
    let tls = tls.map_err(|failure| Refusal {
        reason: SSL_INITIALIZATION_ERROR,
        text: format!("trimaran: {}", failure.text()),
    })?;
    let mut refusals = Vec::new();
    for channel in &channels {
        let tls = match can_be_used(channel, tls.as_ref()) {
            Ok(tls) => tls,
            Err(refusal) => {
                refusals.push(refusal);
                continue;
            }
        };
        for address in &channel.addresses {
            let connecting = Channel::connect_as(tls, address, &channel.channel, name, program, login);
            let error = match in_time(patience, address, connecting).await {
                Ok(connected) => return Ok(connected),
                Err(error) => error,
            };
            let reason = reason_of(&error);
            refusals.push((reason, format!("{} ({address}): {error}", channel.place)));
            if !is_about_the_address(reason) {
                break;
            }
        }
    }
    Err(told(refusals))
}

/// With TLS where the entry has a CipherSpec, which is never left out in silence, and neither is anything else that it asks for.
fn can_be_used<'a>(channel: &Definition, tls: Option<&'a Tls>) -> Result<Option<&'a Tls>, (u32, String)> {
    let (place, cipher) = (&channel.place, &channel.cipher);
    let tls = match (cipher.as_str(), tls) {
        ("", _) => None,
        (_, _) if CipherSpec::named(cipher).is_none() => {
            let names: Vec<&str> = CipherSpec::names().collect();
            let text = format!(
                "{place} wants TLS by {cipher}, which is not done here; there are {}",
                names.join(", ")
            );
            return Err((SSL_INITIALIZATION_ERROR, text));
        }
        (_, None) => {
            let text = format!(
                "{place} wants TLS ({cipher}), and nobody says whom to trust: give --tls-ca (TRIMARAN_TLS_CA), and --tls-cert and \
                 --tls-key where the channel asks for a certificate"
            );
            return Err((KEY_REPOSITORY_ERROR, text));
        }
        (_, tls) => tls,
    };
    match channel.not_done {
        None => Ok(tls),
        Some(key) => {
            let text = format!(
                "{place} has {key}, which this client does not do; take it out where it is not needed"
            );
            Err((reason::FUNCTION_NOT_SUPPORTED, text))
        }
    }
}

/// Whether another address of the same channel may be better: nobody is there, or it does not serve.
fn is_about_the_address(reason: u32) -> bool {
    reason == reason::HOST_NOT_AVAILABLE || reason::says_not_served(reason)
}

/// Of several attempts the reason is that of the first which met a queue manager that serves, and otherwise the last.
fn told(refusals: Vec<(u32, String)>) -> Refusal {
    let telling = refusals.iter().find(|(reason, _)| !is_about_the_address(*reason)).or(refusals.last());
    let reason = telling.map_or(reason::Q_MGR_NAME_ERROR, |(reason, _)| *reason);
    let lines: Vec<String> = refusals.into_iter().map(|(_, text)| format!("trimaran: {text}")).collect();
    Refusal { reason, text: lines.join("\n") }
}

fn chance() -> Chance {
    use std::hash::{BuildHasher, Hasher};
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Chance::of(host.trim(), std::hash::RandomState::new().build_hasher().finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_that_of_who_serves_or_the_last() {
        let told =
            |reasons: &[u32]| told(reasons.iter().map(|reason| (*reason, format!("r{reason}"))).collect());
        assert_eq!(told(&[2538, 2543]).reason, 2543);
        assert_eq!(told(&[2543, 2540, 2538]).reason, 2540);
        assert_eq!(told(&[2538, 2540]).text, "trimaran: r2538\ntrimaran: r2540");
    }

    #[test]
    fn an_entry_with_a_cipher_or_an_exit_is_refused_by_its_place() {
        let channel = |cipher: &str, not_done| Definition {
            place: "entry 2 (APP.SVRCONN) of /etc/ccdt.json".into(),
            channel: "APP.SVRCONN".into(),
            addresses: vec!["h:1414".into()],
            queue_manager: String::new(),
            cipher: cipher.into(),
            weight: 0,
            affinity: trimaran_client::client_channel::Affinity::Preferred,
            not_done,
        };
        let refused = |channel: &Definition| can_be_used(channel, None).map(drop).unwrap_err();
        let (reason, text) = refused(&channel("ANY_TLS12_OR_HIGHER", None));
        assert_eq!(reason, 2381);
        assert!(
            text.starts_with("entry 2 (APP.SVRCONN) of /etc/ccdt.json wants TLS (ANY_TLS12_OR_HIGHER)"),
            "{text}"
        );
        let (reason, text) = refused(&channel("TLS_RSA_WITH_AES_128_CBC_SHA", None));
        assert!(reason == 2393 && text.contains("is not done here; there are ANY"), "{text}");
        let (reason, text) = refused(&channel("", Some("exits")));
        assert!(
            reason == 2298 && text.contains("has exits, which this client does not do; take it out"),
            "{text}"
        );
        assert!(can_be_used(&channel("", None), None).is_ok_and(|tls| tls.is_none()));
    }
}
