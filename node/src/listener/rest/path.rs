//! Which resource a path names.

use http::{Method, StatusCode};
use percent_encoding::percent_decode_str;

use super::inquiry::Sort;
use super::problem::Problem;
use crate::types::Reason;

/// What every path begins with.
const BASE: &str = "/ibmmq/rest/";
/// The versions of IBM's API, which are one here.
const VERSIONS: [&str; 3] = ["v1", "v2", "v3"];
/// Where the description is, beside them.
pub const OPENAPI: &str = "/ibmmq/rest/openapi.json";

/// What can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    OpenApi,
    Login,
    Installation,
    Managers,
    Manager,
    Mqsc,
    /// Queues, channels or subscriptions.
    Objects(Sort),
    /// One of them.
    Object(Sort),
    Message,
    MessageList,
    Publication,
}

/// A path below the version, with names in braces, and what can be done there.
#[derive(Debug)]
pub struct Template {
    pub path: &'static str,
    pub kind: Kind,
    pub methods: &'static [Method],
}

const fn template(path: &'static str, kind: Kind, methods: &'static [Method]) -> Template {
    Template { path, kind, methods }
}

pub const TEMPLATES: [Template; 14] = [
    template("/login", Kind::Login, &[Method::GET]),
    template("/admin/installation", Kind::Installation, &[Method::GET]),
    template("/admin/qmgr", Kind::Managers, &[Method::GET]),
    template("/admin/qmgr/{qmgr}", Kind::Manager, &[Method::GET]),
    template("/admin/action/qmgr/{qmgr}/mqsc", Kind::Mqsc, &[Method::POST]),
    template("/admin/qmgr/{qmgr}/queue", Kind::Objects(Sort::Queue), &[Method::GET, Method::POST]),
    template(
        "/admin/qmgr/{qmgr}/queue/{queue}",
        Kind::Object(Sort::Queue),
        &[Method::GET, Method::PATCH, Method::DELETE],
    ),
    template("/admin/qmgr/{qmgr}/channel", Kind::Objects(Sort::Channel), &[Method::GET]),
    template("/admin/qmgr/{qmgr}/channel/{channel}", Kind::Object(Sort::Channel), &[Method::GET]),
    template("/admin/qmgr/{qmgr}/subscription", Kind::Objects(Sort::Subscription), &[Method::GET]),
    template(
        "/admin/qmgr/{qmgr}/subscription/{subscription}",
        Kind::Object(Sort::Subscription),
        &[Method::GET],
    ),
    template(
        "/messaging/qmgr/{qmgr}/queue/{queue}/message",
        Kind::Message,
        &[Method::GET, Method::POST, Method::DELETE],
    ),
    template("/messaging/qmgr/{qmgr}/queue/{queue}/messagelist", Kind::MessageList, &[Method::GET]),
    template(TOPIC, Kind::Publication, &[Method::POST]),
];

/// A topic string has slashes, which need not be encoded.
const TOPIC: &str = "/messaging/qmgr/{qmgr}/topic/{topic}/message";

/// A path that was understood. Names that it has not are empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub kind: Kind,
    pub manager: String,
    /// Of a queue, channel or subscription.
    pub object: String,
}

impl Resource {
    /// # Errors
    /// 404 for what there is not, 400 for a name that is no text, 405 for what cannot be done there.
    pub fn named(method: &Method, path: &str) -> Result<Resource, Problem> {
        let (resource, methods) = match path {
            OPENAPI => {
                let (manager, object) = Default::default();
                (Resource { kind: Kind::OpenApi, manager, object }, &[Method::GET][..])
            }
            _ => Resource::below(path)?,
        };
        if methods.contains(method) {
            return Ok(resource);
        }
        let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
        let detail = match resource.kind {
            Kind::Login => {
                "There are no passwords here: who somebody is, is said by the certificate of the connection."
                    .into()
            }
            _ => format!("{method} is not for this path; it has {allowed}."),
        };
        let problem = Problem::because(StatusCode::METHOD_NOT_ALLOWED, Reason::FunctionNotSupported, detail);
        Err(problem.allowing(allowed))
    }

    fn below(path: &str) -> Result<(Resource, &'static [Method]), Problem> {
        let unknown = || {
            let detail = format!("There is no such path; {OPENAPI} has those that there are.");
            Problem::because(StatusCode::NOT_FOUND, Reason::FunctionNotSupported, detail)
        };
        let rest = path.strip_prefix(BASE).ok_or_else(unknown)?;
        let (version, rest) = rest.split_once('/').ok_or_else(unknown)?;
        if !VERSIONS.contains(&version) {
            return Err(unknown());
        }
        let mut said: Vec<&str> = rest.split('/').collect();
        if let ["messaging", "qmgr", _, "topic", _, .., "message"] = said[..] {
            said.drain(5..said.len() - 1);
        }
        let fits = |template: &&Template| {
            let segments = template.path[1..].split('/');
            segments.clone().count() == said.len()
                && segments.zip(&said).all(|(segment, said)| segment.starts_with('{') || segment == *said)
        };
        let found = TEMPLATES.iter().find(fits).ok_or_else(unknown)?;
        let mut resource = Resource { kind: found.kind, manager: String::new(), object: String::new() };
        for (segment, said) in found.path[1..].split('/').zip(said) {
            match segment {
                "{qmgr}" => resource.manager = decoded(said)?,
                "{queue}" | "{channel}" | "{subscription}" => resource.object = decoded(said)?,
                _ => {}
            }
        }
        Ok((resource, found.methods))
    }
}

/// A name between two slashes.
fn decoded(said: &str) -> Result<String, Problem> {
    let name = percent_decode_str(said).decode_utf8();
    let name =
        name.map_err(|_| Problem::bad(Reason::ObjectNameError, "A name in the path is no text in UTF-8."))?;
    match name.is_empty() {
        true => Err(Problem::bad(Reason::ObjectNameError, "A name in the path is empty.")),
        false => Ok(name.into_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_resource_and_its_names_are_decoded() {
        for version in VERSIONS {
            let path = format!("/ibmmq/rest/{version}/messaging/qmgr/QM/queue/A%2FB%25/message");
            let found = Resource::named(&Method::DELETE, &path).unwrap();
            assert_eq!(found, Resource { kind: Kind::Message, manager: "QM".into(), object: "A/B%".into() });
        }
        assert_eq!(Resource::named(&Method::GET, OPENAPI).unwrap().kind, Kind::OpenApi);
        for topic in ["a", "a/b/c", "a%2Fb", "message"] {
            let path = format!("/ibmmq/rest/v2/messaging/qmgr/QM/topic/{topic}/message");
            let found = Resource::named(&Method::POST, &path).unwrap();
            assert_eq!((found.kind, found.manager.as_str()), (Kind::Publication, "QM"), "{topic}");
        }
        let channel = Resource::named(&Method::GET, "/ibmmq/rest/v1/admin/qmgr/QM/channel/A.B").unwrap();
        assert_eq!((channel.kind, channel.object.as_str()), (Kind::Object(Sort::Channel), "A.B"));
    }

    #[test]
    fn what_there_is_not_and_what_cannot_be_done_are_told_apart() {
        let refused = |method: Method, path: &str| {
            let problem = Resource::named(&method, path).unwrap_err();
            let allow =
                problem.answer().headers().get("allow").map(|allow| allow.to_str().unwrap().to_string());
            (problem.status.as_u16(), allow)
        };
        for path in [
            "/",
            "/ibmmq/rest/v4/login",
            "/ibmmq/rest/v2/",
            "/ibmmq/rest/v2/messaging/qmgr/QM/topic/message",
            "/ibmmq/rest/v2/admin/qmgr/QM/listener",
            "/ibmmq/rest/v2/admin/qmgr/QM/",
            "/ibmmq/console",
        ] {
            assert_eq!(refused(Method::GET, path).0, 404, "{path}");
        }
        assert_eq!(refused(Method::GET, "/ibmmq/rest/v2/admin/qmgr/%ff").0, 400);
        assert_eq!(refused(Method::GET, "/ibmmq/rest/v2/messaging/qmgr/QM/queue//message").0, 400);
        let message = "/ibmmq/rest/v2/messaging/qmgr/QM/queue/Q/message";
        assert_eq!(refused(Method::PUT, message), (405, Some("GET, POST, DELETE".into())));
        assert_eq!(refused(Method::POST, "/ibmmq/rest/v2/login").0, 405);
        let queue = "/ibmmq/rest/v2/admin/qmgr/QM/queue/Q";
        assert_eq!(refused(Method::POST, queue), (405, Some("GET, PATCH, DELETE".into())));
    }
}
