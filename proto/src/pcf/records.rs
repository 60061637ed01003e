//! Records in PCF: of channel authentication and of authorities (IBM MQ Reference, "Set Channel Authentication Record", "Inquire
//! Authority Records" and their like). They have no names of their own; what tells them apart is said with every command.

use super::attributes::{self, AUTHORIZATION_WORDS, unknown};
use super::command::{Asked, Does, Tells, compared, display, equal};
use super::numbers::{parameter as id, reason};
use super::said::{Said, not_a_value};
use super::structure::{Fault, Parameter, Value};
use crate::admin::v1::set_request::Action;
use crate::attribute::{Form, Kind};
use crate::mqsc::{self, Command, Filter, MANAGER_PROFILE, Operator, Subject};

/// MQACT.
const ACTIONS: [(i32, Action); 4] =
    [(5, Action::Add), (6, Action::Replace), (7, Action::Remove), (8, Action::RemoveAll)];
/// MQCAUT_ALL.
const ALL_CHANNEL_AUTH: i32 = 0;
/// MQMATCH.
const GENERIC: i32 = 0;
const EXACT: i32 = 2;
const EVERY: i32 = 3;
/// MQOT_ALL and MQOT_Q_MGR.
const ALL_OBJECTS: i32 = 1001;
const MANAGER: &str = "QMGR";
/// MQAUTHOPT.
const ENTITY_EXPLICIT: i32 = 1;
const ENTITY_SET: i32 = 2;
const NAME_EXPLICIT: i32 = 16;
const NAME_ALL_MATCHING: i32 = 32;
const NAME_AS_WILDCARD: i32 = 64;
const OPTIONS: i32 = ENTITY_EXPLICIT | ENTITY_SET | NAME_EXPLICIT | NAME_ALL_MATCHING | NAME_AS_WILDCARD;
/// MQ_OBJECT_NAME_LENGTH.
const PROFILE_MOST: usize = 48;

/// Who an authority record is of, and what.
struct Record {
    profile: String,
    /// As OBJTYPE has it.
    object: String,
    who: Vec<Vec<(&'static str, String)>>,
}

impl Said<'_> {
    // ---- channel authentication ----

    pub(super) fn set_channel_auth(&mut self) -> Result<Asked, Fault> {
        let kind = Kind::ChannelAuth;
        let profile = self.needed(id::CHANNEL_NAME)?;
        let action = match self.number(id::ACTION)? {
            None => Action::Add,
            Some(number) => {
                let found = ACTIONS.iter().find(|(known, _)| *known == number);
                let why =
                    || format!("A record is added (5), replaced (6) or removed (7, 8), and not {number}.");
                found.ok_or_else(|| Fault::new(reason::CHLAUTH_ACTION_ERROR, why()).at(id::ACTION))?.1
            }
        };
        let of_type = self.number(id::CHLAUTH_TYPE)?;
        let mut said = match of_type {
            Some(number) => vec![("TYPE", type_named(number)?)],
            None if action == Action::RemoveAll => Vec::new(),
            None => return Err(absent(id::CHLAUTH_TYPE)),
        };
        for parameter in std::mem::take(&mut self.left) {
            said.push(attributes::said(kind, parameter)?);
        }
        Ok(done(Command::Set { kind, profile, steps: vec![(action, said)], deletes: false }))
    }

    pub(super) fn inquire_channel_auth(&mut self) -> Result<Asked, Fault> {
        let kind = Kind::ChannelAuth;
        let name = self.needed(id::CHANNEL_NAME)?;
        let mut filters = Vec::new();
        match self.number(id::CHLAUTH_TYPE)?.filter(|number| *number != ALL_CHANNEL_AUTH) {
            None => {}
            Some(number) => filters.push(equal("TYPE", type_named(number)?)),
        }
        match self.number(id::MATCH)? {
            None | Some(GENERIC | EVERY) => {}
            Some(EXACT) => filters.push(equal(kind.facts().name_label, name.clone())),
            Some(other) => {
                let why = format!(
                    "Records are looked for by their profiles ({GENERIC}, {EXACT}, {EVERY}), and not {other}."
                );
                return Err(Fault::new(reason::FUNCTION_NOT_SUPPORTED, why).at(id::MATCH));
            }
        }
        let wanted = self.wanted(id::CHLAUTH_ATTRS)?;
        filters.extend(self.filters(|parameter| compared(&[kind], parameter))?);
        Ok(each(kind, name, filters, wanted, Vec::new()))
    }

    // ---- authorities ----

    pub(super) fn set_authority(&mut self) -> Result<Asked, Fault> {
        let lists = [(id::AUTH_ADD_AUTHS, Action::Add), (id::AUTH_REMOVE_AUTHS, Action::Remove)];
        let mut said = Vec::new();
        for (id, action) in lists {
            if let Some(numbers) = self.numbers(id)? {
                said.push((id, action, numbers));
            }
        }
        let record = self.record()?;
        self.nothing_left()?;
        let mut steps = Vec::new();
        for (id, action, numbers) in said {
            let list = authorities(id, &numbers, &record.object)?;
            steps.extend(mqsc::authority_steps(action, &list, &record.who));
        }
        if steps.is_empty() {
            let why = "Authorities that are given or taken must be said.";
            return Err(Fault::new(reason::AUTH_VALUE_MISSING, why).at(id::AUTH_ADD_AUTHS));
        }
        let (kind, profile) = (Kind::Authority, record.profile);
        Ok(done(Command::Set { kind, profile, steps, deletes: false }))
    }

    pub(super) fn delete_authority(&mut self) -> Result<Asked, Fault> {
        let record = self.record()?;
        self.nothing_left()?;
        let steps = record.who.into_iter().map(|who| (Action::Remove, who)).collect();
        let (kind, profile) = (Kind::Authority, record.profile);
        Ok(done(Command::Set { kind, profile, steps, deletes: true }))
    }

    pub(super) fn inquire_authorities(&mut self) -> Result<Asked, Fault> {
        let kind = Kind::Authority;
        let options = self.number(id::AUTH_OPTIONS)?.ok_or_else(|| absent(id::AUTH_OPTIONS))?;
        let names = options & (NAME_EXPLICIT | NAME_ALL_MATCHING);
        if options & !OPTIONS != 0 || ![NAME_EXPLICIT, NAME_ALL_MATCHING].contains(&names) {
            return Err(not_a_value(id::AUTH_OPTIONS, options));
        }
        let profile = self.needed(id::AUTH_PROFILE_NAME)?;
        if profile.len() > PROFILE_MOST {
            let why = format!("A profile has at most {PROFILE_MOST} characters.");
            return Err(Fault::new(reason::PROFILE_NAME_ERROR, why).at(id::AUTH_PROFILE_NAME));
        }
        let mut filters = Vec::new();
        let object = self.object_type(true)?;
        filters.extend(object.map(|word| equal("OBJTYPE", word)));
        if let Some(entity) = self.text(id::ENTITY_NAME)?.filter(|entity| !entity.is_empty()) {
            let of_type = self.number(id::ENTITY_TYPE)?;
            let why = "Whether a user (1) or a group (2) is meant must be said.";
            let missing = || Fault::new(reason::ENTITY_TYPE_MISSING, why).at(id::ENTITY_TYPE);
            let of_type = of_type.ok_or_else(missing)?;
            filters.push(equal("ENTTYPE", word_of("ENTTYPE", id::ENTITY_TYPE, of_type)?));
            filters.push(equal("ENTITY", entity));
        } else {
            self.number(id::ENTITY_TYPE)?;
        }
        let label = kind.facts().name_label;
        let name = if profile.is_empty() || options & NAME_AS_WILDCARD != 0 {
            profile
        } else {
            // All are looked at: a profile may stand for others than itself.
            let operator = if names == NAME_EXPLICIT { Operator::Equal } else { Operator::Covers };
            filters.push(Filter { operator, ..equal(label, profile) });
            String::new()
        };
        let wanted = self.wanted(id::AUTH_PROFILE_ATTRS)?;
        filters.extend(self.filters(|parameter| compared(&[kind], parameter))?);
        let beside = vec![Parameter::number(id::AUTH_OPTIONS, options)];
        Ok(each(kind, name, filters, wanted, beside))
    }

    fn record(&mut self) -> Result<Record, Fault> {
        let why = "Of which kind the objects are must be said.";
        let missing = || Fault::new(reason::OBJECT_TYPE_MISSING, why).at(id::OBJECT_TYPE);
        let object = self.object_type(false)?.ok_or_else(missing)?;
        let profile = match self.text(id::AUTH_PROFILE_NAME)? {
            Some(profile) if !profile.is_empty() => profile,
            _ if object == MANAGER => MANAGER_PROFILE.to_string(),
            _ => return Err(absent(id::AUTH_PROFILE_NAME)),
        };
        let mut who = Vec::new();
        for (id, kind) in [(id::PRINCIPAL_ENTITY_NAMES, "PRINCIPAL"), (id::GROUP_ENTITY_NAMES, "GROUP")] {
            for name in self.texts(id)?.unwrap_or_default() {
                who.push(vec![("OBJTYPE", object.clone()), ("ENTTYPE", kind.to_string()), ("ENTITY", name)]);
            }
        }
        if who.is_empty() {
            let why = "Users or groups must be said.";
            return Err(Fault::new(reason::ENTITY_NAME_MISSING, why).at(id::PRINCIPAL_ENTITY_NAMES));
        }
        Ok(Record { profile, object, who })
    }

    /// As OBJTYPE has it; None for all of them, where that may be said, and where it is not said.
    fn object_type(&mut self, may_be_all: bool) -> Result<Option<String>, Fault> {
        match self.number(id::OBJECT_TYPE)? {
            None => Ok(None),
            Some(ALL_OBJECTS) if may_be_all => Ok(None),
            Some(number) => word_of("OBJTYPE", id::OBJECT_TYPE, number).map(Some),
        }
    }

    fn numbers(&mut self, id: i32) -> Result<Option<Vec<i32>>, Fault> {
        match self.take(id) {
            None => Ok(None),
            Some(Parameter { value: Value::Numbers(numbers), .. }) => Ok(Some(numbers.clone())),
            Some(Parameter { value: Value::Number(number), .. }) => Ok(Some(vec![*number])),
            Some(other) => Err(unknown(other)),
        }
    }

    fn texts(&mut self, id: i32) -> Result<Option<Vec<String>>, Fault> {
        match self.take(id) {
            None => Ok(None),
            Some(Parameter { value: Value::Texts(texts), .. }) => Ok(Some(texts.clone())),
            Some(Parameter { value: Value::Text(text), .. }) => Ok(Some(vec![text.clone()])),
            Some(other) => Err(unknown(other)),
        }
    }
}

/// Whatever else is said.
fn absent(id: i32) -> Fault {
    Fault::new(reason::PARM_MISSING, format!("The parameter {id} is missing.")).at(id)
}

fn done(command: Command) -> Asked {
    Asked { does: Does::This(command), tells: Tells::Done }
}

fn each(
    kind: Kind,
    name: String,
    filters: Vec<Filter>,
    wanted: Option<Vec<i32>>,
    beside: Vec<Parameter>,
) -> Asked {
    // A star alone is every name.
    let name = if name == "*" { String::new() } else { name };
    Asked { does: display(Subject::Object(kind), name, filters), tells: Tells::Each { wanted, beside } }
}

fn type_named(number: i32) -> Result<String, Fault> {
    let attribute = Kind::ChannelAuth.attribute_named("TYPE").expect("a record has a type");
    let Form::Word(words) = attribute.form else { unreachable!("a type is a word") };
    let found = words.iter().find(|(_, known)| *known == number);
    let why = || format!("There is no type {number} of records.");
    let found = found.ok_or_else(|| Fault::new(reason::CHLAUTH_TYPE_ERROR, why()).at(id::CHLAUTH_TYPE));
    found.map(|(word, _)| (*word).to_string())
}

/// The word of an attribute of authorities.
fn word_of(name: &str, parameter: i32, number: i32) -> Result<String, Fault> {
    let attribute = Kind::Authority.attribute_named(name).expect("an attribute of authorities");
    let Form::Word(words) = attribute.form else { unreachable!("{name} is a word") };
    let found = words.iter().find(|(_, known)| *known == number);
    found.map(|(word, _)| (*word).to_string()).ok_or_else(|| not_a_value(parameter, number))
}

/// MQAUTH.
fn authorities(parameter: i32, numbers: &[i32], object: &str) -> Result<Vec<&'static str>, Fault> {
    let refused = |why: String| Fault::new(reason::AUTH_VALUE_ERROR, why).at(parameter);
    let mut names = Vec::new();
    for number in numbers {
        let found = AUTHORIZATION_WORDS.iter().find(|(_, known)| known == number);
        names.push(found.ok_or_else(|| refused(format!("There is no authority {number}.")))?.0);
    }
    mqsc::granted(names, object).map_err(refused)
}
