//! INITIAL DATA: what a client offers against what the channel allows. The lower of two limits holds; what was changed or
//! refused is marked, and the client says it again as it was agreed.

use trimaran_proto::mq::control::status;
use trimaran_proto::mq::initial::{self, Initial, Protections, Size};
use trimaran_proto::mq::segment::SEGMENT_BYTES_MAX;
use trimaran_proto::mq::{Order, Raw, Text};

use super::terms::Terms;
use crate::mqi::ChannelTerms;
use crate::types::Reason;

/// The newest level that is spoken: that of IBM MQ 9.4.
const FAP_MAX: u8 = 17;
/// The oldest level that is spoken: the first whose ID says how large messages and segments may be.
const FAP_MIN: u8 = 4;
/// What multiplexing came with.
const FAP_CONVERSATIONS: u8 = 9;
/// A client that takes less at a time would need a segment for every field.
const SEGMENT_BYTES_MIN: u32 = 1024;
/// Latin 1: all names of MQ are in it. Clients adopt it for what structures say; bodies have their own.
const CCSID: u16 = 819;
/// MQENC_NATIVE of a little-endian platform.
pub const ENCODING: u32 = 0x222;
/// Who answers, and the release whose level it speaks.
const PRODUCT: &str = "MQMM09040300";

/// What both ends hold to once INITIAL DATA was answered.
#[derive(Clone, Debug)]
pub struct Agreed {
    pub order: Order,
    pub ccsid: u16,
    pub fap: u8,
    pub segment_bytes_max: usize,
    pub message_bytes_max: usize,
    /// Seconds; 0 is none.
    pub heartbeat_seconds: u32,
    pub conversations: i32,
    /// The thread and trace numbers that answers to socket actions go on with.
    pub serials: (u32, u32),
}

impl Agreed {
    /// Whether conversations share the socket (TSHM).
    pub fn is_multiplexed(&self) -> bool {
        self.conversations > 0
    }
}

/// The STATUS that refuses an offer, whatever its channel.
pub fn check(offer: &Initial) -> Result<(), u32> {
    let offered = &offer.fields;
    if offered.fap < FAP_MIN {
        return Err(status::FAP);
    }
    if offered.capabilities1 & initial::MQ_REQUEST == 0 {
        return Err(status::WRONG_CHANNEL_TYPE);
    }
    if offered.segment_bytes_max < SEGMENT_BYTES_MIN {
        return Err(status::LENGTH);
    }
    Ok(())
}

/// The answer to an offer that was checked, and what it means.
pub fn answer(
    offer: &Initial,
    channel: &ChannelTerms,
    terms: &Terms,
    salt: Raw<12>,
    serial: u32,
) -> (Initial, Agreed) {
    let offered = &offer.fields;
    debug_assert_eq!(check(offer), Ok(()), "what cannot be agreed on is refused before");
    let agreed = agree(offer, channel, serial);
    let mut reply = offer.clone();
    reply.size = Size::of_level(agreed.fap);
    let fields = &mut reply.fields;
    fields.fap = agreed.fap;
    fields.errors1 = 0;
    fields.errors2 = 0;
    if agreed.fap != offered.fap {
        fields.errors1 |= initial::WRONG_FAP;
    }
    fields.segment_bytes_max = agreed.segment_bytes_max as u32;
    if fields.segment_bytes_max != offered.segment_bytes_max {
        fields.errors1 |= initial::WRONG_SEGMENT_BYTES;
    }
    fields.message_bytes_max = agreed.message_bytes_max as u32;
    if fields.message_bytes_max != offered.message_bytes_max {
        fields.errors1 |= initial::WRONG_MESSAGE_BYTES;
    }
    fields.heartbeat = agreed.heartbeat_seconds;
    if fields.heartbeat != offered.heartbeat && offer.size >= Size::WithHeartbeat {
        fields.errors1 |= initial::WRONG_HEARTBEAT;
    }
    (fields.capabilities1, fields.refused1) =
        refuse(offered.capabilities1, initial::CAN_CONVERT | initial::CAN_SPLIT | initial::MQ_REQUEST);
    (fields.capabilities2, fields.refused2) = refuse(offered.capabilities2, initial::SPI_REQUEST);
    (fields.capabilities3, fields.refused3) = refuse(offered.capabilities3, initial::GENERATES_TAG);
    fields.ccsid = agreed.ccsid;
    fields.queue_manager = Text::new(terms.queue_manager.as_str());
    fields.more_bytes = 0;
    fields.header_compression = Raw([0, 0xFF]);
    fields.message_compression = Raw([0xFF; 16]);
    fields.message_compression.0[0] = 0;
    fields.key_reset_count = 0;
    fields.conversations = agreed.conversations;
    fields.process = std::process::id();
    (fields.thread, fields.trace) = agreed.serials;
    fields.product = Text::new(PRODUCT);
    fields.identifier = Text::new(&terms.identifier);
    // A client goes on with an end that takes the protection it prefers, and with no other (2594). How it protects is not
    // public: a password that was sent without TLS cannot be read here.
    fields.protections = Protections::default();
    fields.protections.0[..2].copy_from_slice(&[1, 0]);
    fields.protection_salt = salt;
    (reply, agreed)
}

fn agree(offer: &Initial, channel: &ChannelTerms, serial: u32) -> Agreed {
    let offered = &offer.fields;
    let fap = offered.fap.min(FAP_MAX);
    let heartbeat_seconds = match (offered.heartbeat, channel.heartbeat_seconds) {
        (0, _) | (_, 0) => 0,
        (client, channel) => client.max(channel),
    };
    let conversations = match fap < FAP_CONVERSATIONS || offer.size < Size::WithConversations {
        true => 0,
        false => offered.conversations.clamp(0, channel.conversations.min(i32::MAX as u32) as i32),
    };
    Agreed {
        order: Order::Little,
        ccsid: CCSID,
        fap,
        segment_bytes_max: offered.segment_bytes_max.min(SEGMENT_BYTES_MAX as u32) as usize,
        message_bytes_max: offered.message_bytes_max.min(channel.message_bytes_max) as usize,
        heartbeat_seconds,
        conversations,
        serials: (serial, serial),
    }
}

/// The STATUS that a client is told when it gets no instance of a channel, and makes its own reason of.
pub fn status_of(reason: Reason) -> u32 {
    match reason {
        Reason::UnknownChannelName => status::NO_CHANNEL,
        Reason::ChannelNotAvailable | Reason::MaxConnsLimitReached => status::CHANNEL_UNAVAILABLE,
        Reason::NotAuthorized => status::SECURITY,
        Reason::SslInitializationError => status::CIPHER_SPEC,
        Reason::SslPeerNameMismatch => status::PEER_NAME,
        Reason::JsseError => status::CLIENT_CERTIFICATE,
        Reason::StandbyQMgr => status::STANDBY_QMGR,
        Reason::QMgrStopping | Reason::QMgrQuiescing => status::QMGR_TERMINATING,
        _ => status::QMGR_UNAVAILABLE,
    }
}

/// What stays of the capabilities, and what does not.
fn refuse(offered: u8, ours: u8) -> (u8, u8) {
    (offered & ours, offered & !ours)
}

/// Whether a reply changed or refused something, and the client has to say it all again.
pub fn is_changed(reply: &Initial) -> bool {
    let fields = &reply.fields;
    fields.errors1 | fields.errors2 | fields.refused1 | fields.refused2 | fields.refused3 != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ObjectName;

    /// What a channel says that was defined without attributes.
    fn channel() -> ChannelTerms {
        ChannelTerms { message_bytes_max: 4_194_304, heartbeat_seconds: 300, conversations: 10, user: None }
    }

    fn answered(offer: &Initial, channel: &ChannelTerms) -> (Initial, Agreed) {
        let terms = Terms::new(ObjectName::new("QM1").unwrap(), "cluster");
        answer(offer, channel, &terms, Raw::default(), 7)
    }

    fn offer() -> Initial {
        let mut offer = Initial::default();
        let fields = &mut offer.fields;
        fields.fap = 17;
        fields.capabilities1 = 0x26;
        fields.capabilities2 = 0x51;
        fields.capabilities3 = 0x28;
        fields.segment_bytes_max = 32_748;
        fields.message_bytes_max = 104_857_600;
        fields.heartbeat = 1;
        fields.conversations = 999_999_999;
        fields.channel = Text::new("SYSTEM.DEF.SVRCONN");
        offer
    }

    #[test]
    fn the_lower_limit_and_the_longer_heartbeat_hold() {
        let (reply, agreed) = answered(&offer(), &ChannelTerms { message_bytes_max: 1000, ..channel() });
        assert_eq!(
            (agreed.message_bytes_max, agreed.heartbeat_seconds, agreed.conversations),
            (1000, 300, 10)
        );
        assert_eq!(reply.fields.errors1, initial::WRONG_MESSAGE_BYTES | initial::WRONG_HEARTBEAT);
        assert_eq!((reply.fields.capabilities2, reply.fields.refused2), (0x40, 0x11));
        assert_eq!((reply.fields.capabilities3, reply.fields.refused3), (0x20, 0x08));
        assert!(is_changed(&reply));
    }

    #[test]
    fn what_was_agreed_is_accepted_when_it_is_said_again() {
        let (reply, _) = answered(&offer(), &channel());
        let mut again = reply.clone();
        (again.fields.errors1, again.fields.refused2, again.fields.refused3) = (0, 0, 0);
        let (second, agreed) = answered(&again, &channel());
        assert!(!is_changed(&second));
        assert_eq!((agreed.fap, agreed.segment_bytes_max), (17, 32_748));
    }

    #[test]
    fn an_old_client_gets_an_id_of_its_size_and_one_conversation() {
        let mut old = offer();
        (old.fields.fap, old.size) = (8, Size::WithHeartbeat);
        let (reply, agreed) = answered(&old, &channel());
        assert_eq!((reply.size, agreed.is_multiplexed()), (Size::WithHeartbeat, false));
    }

    #[test]
    fn refusals_say_why() {
        let with = |change: fn(&mut initial::Fields)| {
            let mut offer = offer();
            change(&mut offer.fields);
            check(&offer).unwrap_err()
        };
        assert_eq!(with(|fields| fields.capabilities1 = 0x06), status::WRONG_CHANNEL_TYPE);
        assert_eq!(with(|fields| fields.fap = 3), status::FAP);
        assert_eq!(with(|fields| fields.segment_bytes_max = 100), status::LENGTH);
    }
}
