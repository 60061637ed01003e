//! Whose a message is: what a put says of that (MQPMO_*_CONTEXT), and what a handle keeps of the messages that were got through it, for
//! puts that pass it on (MQOO_SAVE_ALL_CONTEXT; IBM MQ documentation, "Message context").
//!
//! Of a handle that is read ahead several messages are with the client, and it may pass on the context of an earlier one than was sent
//! last: a put with the id of one of them is about that one, and any other about the last.

use std::collections::VecDeque;

use trimaran_proto::mq::constants::{put, reason};
use trimaran_proto::mq::message::Md;
use trimaran_proto::mq::{Raw, Text};

use super::convert::{self, Code};
use super::reading::AHEAD_MAX;
use crate::mqi::Context;
use crate::types::{Descriptor, Reason};

/// What a put may say of its context: one of these.
const OF_PUTS: [(u32, Context); 6] = [
    (put::DEFAULT_CONTEXT, Context::Default),
    (put::NO_CONTEXT, Context::Blank),
    (put::PASS_IDENTITY_CONTEXT, Context::PassIdentity),
    (put::PASS_ALL_CONTEXT, Context::PassAll),
    (put::SET_IDENTITY_CONTEXT, Context::Identity),
    (put::SET_ALL_CONTEXT, Context::All),
];

/// What a put says of its context.
///
/// # Errors
/// 2046 for two of them.
pub fn of_put(options: u32) -> Result<Context, Code> {
    let mut said = OF_PUTS.iter().filter(|(bit, _)| options & bit != 0).map(|(_, context)| *context);
    match (said.next(), said.next()) {
        (context, None) => Ok(context.unwrap_or_default()),
        (_, Some(_)) => Err(reason::OPTIONS_ERROR),
    }
}

/// The fields of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fields {
    user: Text<12>,
    accounting_token: Raw<32>,
    identity_data: Text<32>,
    put_application_type: i32,
    put_application: Text<28>,
    put_date: Text<8>,
    put_time: Text<8>,
    origin_data: Text<4>,
}

impl Fields {
    fn of(md: &Md) -> Fields {
        Fields {
            user: md.user,
            accounting_token: md.accounting_token,
            identity_data: md.identity_data,
            put_application_type: md.put_application_type,
            put_application: md.put_application,
            put_date: md.put_date,
            put_time: md.put_time,
            origin_data: md.origin_data,
        }
    }

    fn write_identity(&self, md: &mut Md) {
        md.user = self.user;
        md.accounting_token = self.accounting_token;
        md.identity_data = self.identity_data;
    }

    fn write_origin(&self, md: &mut Md) {
        md.put_application_type = self.put_application_type;
        md.put_application = self.put_application;
        md.put_date = self.put_date;
        md.put_time = self.put_time;
        md.origin_data = self.origin_data;
    }
}

/// The contexts of messages that were got through a handle, the last one last.
#[derive(Debug, Default)]
pub struct Saved {
    got: VecDeque<(Raw<24>, Fields)>,
}

impl Saved {
    /// A message was got.
    pub fn note(&mut self, descriptor: &Descriptor) {
        if self.got.len() > AHEAD_MAX {
            self.got.pop_front();
        }
        let md = convert::md(descriptor, 2);
        self.got.push_back((md.message_id, Fields::of(&md)));
        debug_assert!(self.got.len() <= AHEAD_MAX + 1, "no more are kept than can be on their way, and one");
    }

    /// One was browsed: there is no context then.
    pub fn note_browse(&mut self) {
        self.got.clear();
    }

    /// The client has room for one message: the program has seen the end of those before the last one.
    pub fn keep_last(&mut self) {
        self.got.drain(..self.got.len().saturating_sub(1));
    }

    fn of(&self, message_id: &Raw<24>) -> Option<&Fields> {
        let named = self.got.iter().rev().find(|(id, _)| id == message_id);
        named.or(self.got.back()).map(|(_, fields)| fields)
    }
}

/// Writes into the MQMD of a put what it does not say itself: nothing at all, or what it passes on of the messages that `saved` knows.
///
/// # Errors
/// 2097 where the handle that it names saves none, 2098 where none was got through it.
pub fn complete(md: &mut Md, context: Context, saved: Option<&Saved>) -> Result<(), Code> {
    let got = || {
        let saved = saved.ok_or(Reason::ContextHandleError.number() as Code)?;
        saved.of(&md.message_id).copied().ok_or(Reason::ContextNotAvailable.number() as Code)
    };
    let fields = match context {
        Context::Default | Context::Identity | Context::All => return Ok(()),
        Context::Blank => Fields::of(&Md::default()),
        Context::PassIdentity | Context::PassAll => got()?,
    };
    fields.write_identity(md);
    if context != Context::PassIdentity {
        fields.write_origin(md);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use trimaran_proto::message::v1 as message;
    use trimaran_proto::mq::constants::open;

    use super::*;

    fn got(id: u8, user: &str) -> Descriptor {
        let said = Some("2020010203040500".to_string());
        Descriptor::from_wire(message::Descriptor {
            message_id: vec![id; 24].into(),
            user_identifier: user.into(),
            put_application_name: "orders".into(),
            put_date_and_time: said,
            ..message::Descriptor::default()
        })
        .unwrap()
    }

    fn passed(saved: &Saved, id: u8, context: Context) -> Result<(String, String, String), Code> {
        let mut md = Md { message_id: Raw([id; 24]), user: Text::new("me"), ..Md::default() };
        complete(&mut md, context, Some(saved))?;
        Ok((md.user.text(), md.put_application.text(), md.put_date.text()))
    }

    #[test]
    fn a_put_passes_on_what_the_message_said_that_it_is_about() {
        let mut saved = Saved::default();
        assert_eq!(passed(&saved, 1, Context::PassAll), Err(2098));
        saved.note(&got(1, "joe"));
        saved.note(&got(2, "ann"));
        let of = |user: &str| Ok((user.to_string(), "orders".to_string(), "20200102".to_string()));
        assert_eq!(passed(&saved, 1, Context::PassAll), of("joe"));
        assert_eq!(passed(&saved, 2, Context::PassAll), of("ann"));
        assert_eq!(passed(&saved, 9, Context::PassAll), of("ann"), "of the last one, with another id");
        let identity = passed(&saved, 9, Context::PassIdentity).unwrap();
        assert_eq!(identity, ("ann".to_string(), String::new(), String::new()));
        saved.keep_last();
        assert_eq!(passed(&saved, 1, Context::PassAll), of("ann"));
        saved.note_browse();
        assert_eq!(passed(&saved, 1, Context::PassAll), Err(2098));
        assert_eq!(complete(&mut Md::default(), Context::PassAll, None), Err(2097));
    }

    #[test]
    fn a_put_says_one_thing_of_its_context() {
        assert_eq!(of_put(0), Ok(Context::Default));
        assert_eq!(of_put(put::NO_CONTEXT | put::SYNCPOINT), Ok(Context::Blank));
        assert_eq!(of_put(put::NO_CONTEXT | put::SET_ALL_CONTEXT), Err(reason::OPTIONS_ERROR));
        let asked = open::OUTPUT | open::SET_IDENTITY_CONTEXT | open::PASS_ALL_CONTEXT;
        let asked = convert::open_options(asked).unwrap();
        assert_eq!((asked.context, asked.passes), (Context::Identity, Context::PassAll));
    }
}
