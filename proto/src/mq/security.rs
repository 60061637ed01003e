//! Who a client says that it is: USERID DATA and CONAUTH INFO.

use bytes::Bytes;

use super::wire::{Malformed, Raw, Reader, Text, Writer, layout};

layout! {
    /// USERID DATA, once a socket: the user that the client's operating system knows. Nothing proves it.
    UserIdFields {
        short_user: Text<12>, 1;
        /// In clear, and blank unless a Java client works in compatibility mode.
        password: Text<12>, 1;
        user: Text<64>, 2;
        /// Length of the rest, its type, data (MQSIDT_*).
        security_id: Raw<40>, 2;
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserId {
    /// 1: the 28 bytes of old levels; 2: 132 bytes.
    pub size: u32,
    pub fields: UserIdFields,
}

impl UserId {
    pub fn read(from: &mut Reader) -> Result<UserId, Malformed> {
        let size = if from.left() < 132 { 1 } else { 2 };
        from.eyecatcher(b"UID ", "no UID begins here")?;
        Ok(UserId { size, fields: UserIdFields::read_fields(from, size)? })
    }

    pub fn write(&self, into: &mut Writer) {
        into.bytes(b"UID ");
        self.fields.write_fields(into, self.size);
    }

    /// The long name where there is one.
    pub fn user(&self) -> String {
        if self.fields.user.is_blank() { self.fields.short_user.text() } else { self.fields.user.text() }
    }
}

/// CONAUTH INFO, once a conversation: what a program gave in MQCSP.
///
/// ```text
///   "CAUT"  type  user max  password max  user length  password length
///   two more numbers from level 17 on     user  password     zeros to a multiple of 4
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ConAuth {
    /// MQCSP_AUTH_*: 0 none, 1 user id and password, 2 id token.
    pub kind: u32,
    pub user_length_max: u32,
    pub password_length_max: u32,
    /// Only from level 17 on: longest and actual length of a token.
    pub token: Option<[u32; 2]>,
    pub user: Bytes,
    pub password: Bytes,
}

impl std::fmt::Debug for ConAuth {
    /// Without the password: this is logged.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ConAuth {{ kind: {}, user: {:?}, … }}", self.kind, self.user)
    }
}

impl ConAuth {
    pub fn read(from: &mut Reader) -> Result<ConAuth, Malformed> {
        let body = from.left();
        from.eyecatcher(b"CAUT", "no CAUT begins here")?;
        let (kind, user_length_max, password_length_max) = (from.get()?, from.get()?, from.get()?);
        let (user_length, password_length): (u32, u32) = (from.get()?, from.get()?);
        let text = user_length as usize + password_length as usize;
        // The level does not say it everywhere; the lengths do.
        let token = match body.checked_sub(text) {
            Some(head) if head >= 32 => Some([from.get()?, from.get()?]),
            _ => None,
        };
        Ok(ConAuth {
            kind,
            user_length_max,
            password_length_max,
            token,
            user: from.bytes(user_length as usize)?,
            password: from.bytes(password_length as usize)?,
        })
    }

    pub fn write(&self, into: &mut Writer) {
        let begin = into.out.len();
        into.bytes(b"CAUT");
        into.put(&self.kind);
        into.put(&self.user_length_max);
        into.put(&self.password_length_max);
        into.put(&(self.user.len() as u32));
        into.put(&(self.password.len() as u32));
        if let Some(token) = &self.token {
            into.put(&token[0]);
            into.put(&token[1]);
        }
        into.bytes(&self.user);
        into.bytes(&self.password);
        into.pad(begin);
    }
}
