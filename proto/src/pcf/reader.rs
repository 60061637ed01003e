//! Bytes of PCF to structures, in either byte order. What a length claims is compared with what is there before anything is taken by it.

use super::numbers::{Operator, reason};
use super::structure::{Fault, HEADER_BYTES, Header, Message, Parameter, Value, of};
use crate::mq::characters::{self, Written};

/// Groups in groups; commands have none.
const DEPTH_MAX: usize = 4;
/// MQCCSI_DEFAULT: as the message descriptor says.
const AS_MESSAGE: i32 = 0;

/// The header alone, which says what the command is also where its parameters say nothing.
///
/// # Errors
/// 3016, 3002, 3003, 3005 and 3006.
pub fn header(bytes: &[u8], written: Written) -> Result<Header, Fault> {
    Reader { bytes, written }.header().map(|(header, _)| header)
}

/// Reads a message; `written` is what its descriptor says of byte order and character set.
///
/// # Errors
/// The reason of the manual for what is not as it should be: of a structure's length, count, character set or type.
pub fn read(bytes: &[u8], written: Written) -> Result<Message, Fault> {
    let mut reader = Reader { bytes, written };
    let (header, count) = reader.header()?;
    let parameters = reader.parameters(count, 0)?;
    match reader.bytes.is_empty() {
        true => Ok(Message { header, parameters }),
        false => {
            let why =
                format!("Behind the {count} parameters of the header are {} bytes.", reader.bytes.len());
            Err(Fault::new(reason::MSG_LENGTH_ERROR, why))
        }
    }
}

struct Reader<'a> {
    /// What is left.
    bytes: &'a [u8],
    written: Written,
}

/// The rest of one structure.
struct Structure<'a> {
    bytes: &'a [u8],
    written: Written,
    /// Of its length.
    wrong: u32,
    id: i32,
}

fn number(bytes: [u8; 4], written: Written) -> i32 {
    if written.is_big { i32::from_be_bytes(bytes) } else { i32::from_le_bytes(bytes) }
}

fn long(bytes: [u8; 8], written: Written) -> i64 {
    if written.is_big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) }
}

impl<'a> Reader<'a> {
    fn number_at(&self, at: usize) -> Option<i32> {
        let bytes = self.bytes.get(at..)?.first_chunk::<4>()?;
        Some(number(*bytes, self.written))
    }

    fn header(&mut self) -> Result<(Header, i32), Fault> {
        let short = || {
            let why =
                format!("The message has {} bytes, and its header alone {HEADER_BYTES}.", self.bytes.len());
            Fault::new(reason::MSG_LENGTH_ERROR, why)
        };
        if self.bytes.len() < HEADER_BYTES {
            return Err(short());
        }
        let at = |place: usize| self.number_at(place * 4).ok_or_else(short);
        if at(1)? != HEADER_BYTES as i32 {
            let why = format!("The header has {HEADER_BYTES} bytes and says {}.", at(1)?);
            return Err(Fault::new(reason::CFH_LENGTH_ERROR, why));
        }
        let version = at(2)?;
        if !(1..=3).contains(&version) {
            return Err(Fault::new(
                reason::CFH_VERSION_ERROR,
                format!("There is no version {version} of the header."),
            ));
        }
        let is_last = match at(5)? {
            0 => false,
            1 => true,
            other => {
                let why = format!("The control of a header is 0 or 1 and not {other}.");
                return Err(Fault::new(reason::CFH_CONTROL_ERROR, why));
            }
        };
        let count = at(8)?;
        if count < 0 {
            return Err(Fault::new(
                reason::CFH_PARM_COUNT_ERROR,
                format!("A message has no {count} parameters."),
            ));
        }
        let header = Header {
            kind: at(0)?,
            version,
            command: at(3)?,
            sequence: at(4)?,
            is_last,
            completion: at(6)?,
            reason: at(7)?,
        };
        self.bytes = &self.bytes[HEADER_BYTES..];
        Ok((header, count))
    }

    /// Nothing is made room for by `count`: it is what somebody says.
    fn parameters(&mut self, count: i32, depth: usize) -> Result<Vec<Parameter>, Fault> {
        let mut parameters = Vec::new();
        for read in 0..count {
            if self.bytes.is_empty() {
                let why = format!("There are {read} parameters, and {count} are announced.");
                return Err(Fault::new(reason::MSG_LENGTH_ERROR, why));
            }
            parameters.push(self.parameter(depth)?);
        }
        Ok(parameters)
    }

    fn parameter(&mut self, depth: usize) -> Result<Parameter, Fault> {
        let short = || Fault::new(reason::MSG_LENGTH_ERROR, "The message ends in the middle of a parameter.");
        let (kind, length) = (self.number_at(0).ok_or_else(short)?, self.number_at(4).ok_or_else(short)?);
        let (least, wrong) = match kind {
            of::INTEGER => (16, reason::CFIN_LENGTH_ERROR),
            of::STRING => (20, reason::CFST_LENGTH_ERROR),
            of::INTEGER_LIST => (16, reason::CFIL_LENGTH_ERROR),
            of::STRING_LIST => (24, reason::CFSL_LENGTH_ERROR),
            of::BYTE_STRING => (16, reason::CFBS_LENGTH_ERROR),
            of::INTEGER_FILTER => (20, reason::CFIF_LENGTH_ERROR),
            of::STRING_FILTER => (24, reason::CFSF_LENGTH_ERROR),
            of::BYTE_STRING_FILTER => (20, reason::CFBF_LENGTH_ERROR),
            of::GROUP => (16, reason::CFGR_LENGTH_ERROR),
            of::INTEGER64 => (24, reason::CFIN_LENGTH_ERROR),
            of::INTEGER64_LIST => (16, reason::CFIL_LENGTH_ERROR),
            other => {
                return Err(Fault::new(
                    reason::STRUCTURE_TYPE_ERROR,
                    format!("There is no structure of type {other}."),
                ));
            }
        };
        let is_of_one_length = matches!(kind, of::INTEGER | of::INTEGER_FILTER | of::GROUP | of::INTEGER64);
        let taken = usize::try_from(length)
            .ok()
            .filter(|length| *length >= least && length % 4 == 0 && (!is_of_one_length || *length == least));
        let Some(taken) = taken else {
            return Err(Fault::new(wrong, format!("A structure of type {kind} cannot have {length} bytes.")));
        };
        let Some((own, rest)) = self.bytes.split_at_checked(taken) else { return Err(short()) };
        let id = self.number_at(8).ok_or_else(short)?;
        self.bytes = rest;
        let mut structure = Structure { bytes: &own[12..], written: self.written, wrong, id };
        let value = match kind {
            of::GROUP => {
                let count = structure.number()?;
                if count < 0 || depth >= DEPTH_MAX {
                    let why = format!(
                        "A group has no {count} parameters, and groups are {DEPTH_MAX} deep at most."
                    );
                    return Err(Fault::new(reason::CFGR_PARM_COUNT_ERROR, why).at(id));
                }
                Value::Group(self.parameters(count, depth + 1)?)
            }
            kind => structure.value(kind)?,
        };
        Ok(Parameter { id, value })
    }
}

impl<'a> Structure<'a> {
    fn fault(&self, reason: u32, why: impl Into<String>) -> Fault {
        Fault::new(reason, why).at(self.id)
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((chunk, rest)) = self.bytes.split_first_chunk::<N>() else {
            return Err(self.fault(self.wrong, "A structure is shorter than what it says that it has."));
        };
        self.bytes = rest;
        Ok(*chunk)
    }

    fn number(&mut self) -> Result<i32, Fault> {
        self.chunk().map(|bytes| number(bytes, self.written))
    }

    fn value(&mut self, kind: i32) -> Result<Value, Fault> {
        Ok(match kind {
            of::INTEGER => Value::Number(self.number()?),
            of::INTEGER64 => {
                self.number()?;
                Value::Long(self.chunk().map(|bytes| long(bytes, self.written))?)
            }
            of::INTEGER_LIST => {
                let chunks = self.counted::<4>()?;
                Value::Numbers(chunks.iter().map(|bytes| number(*bytes, self.written)).collect())
            }
            of::INTEGER64_LIST => {
                let chunks = self.counted::<8>()?;
                Value::Longs(chunks.iter().map(|bytes| long(*bytes, self.written)).collect())
            }
            of::STRING => {
                let ccsid = self.number()?;
                let bytes = self.bytes(reason::CFST_STRING_LENGTH_ERR)?;
                Value::Text(self.text(bytes, ccsid)?)
            }
            of::STRING_LIST => Value::Texts(self.texts()?),
            of::BYTE_STRING => Value::Bytes(self.bytes(reason::CFBS_STRING_LENGTH_ERR)?.to_vec()),
            of::INTEGER_FILTER => {
                let operator = self.operator(reason::CFIF_OPERATOR_ERROR)?;
                Value::NumberFilter(operator, self.number()?)
            }
            of::STRING_FILTER => {
                let operator = self.operator(reason::CFSF_OPERATOR_ERROR)?;
                let ccsid = self.number()?;
                let bytes = self.bytes(reason::CFSF_FILTER_VAL_LEN_ERR)?;
                Value::TextFilter(operator, self.text(bytes, ccsid)?)
            }
            _ => {
                let operator = self.operator(reason::CFBF_OPERATOR_ERROR)?;
                Value::BytesFilter(operator, self.bytes(reason::CFBF_FILTER_VAL_LEN_ERR)?.to_vec())
            }
        })
    }

    /// As many as the structure says, and no more than it has.
    fn counted<const N: usize>(&mut self) -> Result<&'a [[u8; N]], Fault> {
        let count = self.number()?;
        let (chunks, rest) = self.bytes.as_chunks::<N>();
        match usize::try_from(count) {
            Ok(count) if count == chunks.len() && rest.is_empty() => Ok(chunks),
            _ => {
                let why = format!("A list of {count} does not have {} bytes.", self.bytes.len());
                Err(self.fault(reason::CFIL_COUNT_ERROR, why))
            }
        }
    }

    /// As many as the length in front of them says; zeros or blanks behind them fill the structure up.
    fn bytes(&mut self, wrong: u32) -> Result<&'a [u8], Fault> {
        let length = self.number()?;
        let taken = usize::try_from(length).ok().and_then(|length| self.bytes.get(..length));
        let fills = |taken: &&[u8]| self.bytes.len() - taken.len() < 4;
        taken.filter(fills).ok_or_else(|| {
            self.fault(wrong, format!("There are {} bytes, and {length} are announced.", self.bytes.len()))
        })
    }

    fn texts(&mut self) -> Result<Vec<String>, Fault> {
        let (ccsid, count, length) = (self.number()?, self.number()?, self.number()?);
        let (Ok(count), Ok(length)) = (usize::try_from(count), usize::try_from(length)) else {
            return Err(self
                .fault(reason::CFSL_COUNT_ERROR, format!("There are no {count} texts of {length} bytes.")));
        };
        let whole = count.checked_mul(length).and_then(|whole| self.bytes.get(..whole));
        let Some(whole) = whole.filter(|whole| self.bytes.len() - whole.len() < 4) else {
            let why = format!("{count} texts of {length} bytes do not have {}.", self.bytes.len());
            return Err(self.fault(reason::CFSL_TOTAL_LENGTH_ERROR, why));
        };
        if length == 0 && count > 0 {
            return Err(self.fault(reason::CFSL_STRING_LENGTH_ERR, "A list of texts has texts of a length."));
        }
        whole.chunks(length.max(1)).map(|bytes| self.text(bytes, ccsid)).collect()
    }

    fn operator(&mut self, wrong: u32) -> Result<Operator, Fault> {
        let number = self.number()?;
        Operator::from_number(number)
            .ok_or_else(|| self.fault(wrong, format!("There is no operator {number}.")))
    }

    fn text(&self, bytes: &[u8], ccsid: i32) -> Result<String, Fault> {
        let ccsid = if ccsid == AS_MESSAGE { self.written.ccsid } else { ccsid };
        let text = characters::decoded(bytes, Written { ccsid, ..self.written });
        let unknown = || {
            let why = format!(
                "A text is in the character set {ccsid}, which is not known here, or is no text of it."
            );
            self.fault(reason::CCSID_ERROR, why)
        };
        text.map(std::borrow::Cow::into_owned).ok_or_else(unknown)
    }
}
