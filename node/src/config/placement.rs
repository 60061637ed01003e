//! Where queue managers should be served: the preferred node of each, and when it may have it back.

use std::collections::BTreeMap;
use std::fmt;

use toml::Spanned;

use super::Config;
use super::addresses::Problem;
use super::file;
use crate::replica::{FailBack, Placement};
use crate::types::{NodeId, QueueManagerId};

/// `names`: the nodes of the file.
pub(super) fn read(
    file: &file::File,
    names: &BTreeMap<String, NodeId>,
    problems: &mut Vec<Problem>,
) -> BTreeMap<QueueManagerId, Placement> {
    let mut placements = BTreeMap::new();
    for queue_manager in &file.queue_managers {
        let preferred = queue_manager.preferred.as_ref().and_then(|written| {
            let found = names.get(written.get_ref()).copied();
            if found.is_none() {
                let known = names.keys().cloned().collect::<Vec<_>>().join(", ");
                let text = format!("preferred = {:?}: the file has the nodes {known}", written.get_ref());
                problems.push((written.span(), text));
            }
            found
        });
        let fail_back = queue_manager.fail_back.as_ref().map_or(FailBack::Never, |written| {
            if queue_manager.preferred.is_none() {
                let text = "fail_back says when the preferred node has the queue manager back: write preferred = \"NODE\" \
                            beside it";
                problems.push((written.span(), text.to_owned()));
            }
            parse(written).unwrap_or_else(|text| {
                problems.push((written.span(), text));
                FailBack::Never
            })
        });
        let id = QueueManagerId(*queue_manager.id.get_ref());
        placements.insert(id, Placement { preferred, fail_back });
    }
    placements
}

fn parse(written: &Spanned<String>) -> Result<FailBack, String> {
    let text = written.get_ref().as_str();
    FailBack::parse(text).map_err(|what| format!("fail_back = {text:?}: {what}"))
}

/// A sentence for `check` on each queue manager that prefers a node.
pub(super) fn sentences(config: &Config) -> Vec<String> {
    let named = config.queue_managers.iter().filter_map(|(id, name)| {
        let placement = config.placements.get(id)?;
        let node = config.nodes.get(&placement.preferred?)?;
        let when = match placement.fail_back {
            FailBack::Never => "it does not move back there by itself".to_owned(),
            FailBack::Now => "it moves back there as soon as that node can serve it".to_owned(),
            FailBack::Within { from, until } => {
                format!("it moves back there between {} and {} UTC", OfDay(from), OfDay(until))
            }
        };
        Some(format!("{name} prefers node {}: {when}", node.info.name))
    });
    named.collect()
}

struct OfDay(u16);

impl fmt::Display for OfDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

impl Config {
    /// The node that stands first when all of them start together: the preferred one, or else each queue manager has
    /// another one, so that those that nobody placed are spread over the nodes.
    pub fn stands_first(&self, queue_manager: QueueManagerId) -> Option<NodeId> {
        let preferred = self.placements.get(&queue_manager).and_then(|placement| placement.preferred);
        let voters: Vec<NodeId> =
            self.nodes.iter().filter(|(_, node)| !node.joins).map(|(id, _)| *id).collect();
        let place = self.queue_managers.keys().position(|id| *id == queue_manager)?;
        preferred.or_else(|| voters.get(place % voters.len().max(1)).copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(written: &str) -> String {
        let node = |name: &str, id: u32| {
            format!(
                "[[nodes]]\nname = \"{name}\"\nid = {id}\npeer = \"127.0.0.1:7{id}01\"\nclient = \"127.0.0.1:7{id}02\"\nhttp = \
                 \"127.0.0.1:7{id}03\"\n"
            )
        };
        format!(
            "cluster = \"demo\"\n{}{}{}[[queue_managers]]\nname = \"ONE\"\nid = 1\n{written}\n[[queue_managers]]\nname = \
             \"TWO\"\nid = 7\n[directories]\nlog = \"/tmp/{{node}}/log\"\ndata = \"/tmp/{{node}}/data\"\n",
            node("a", 1),
            node("b", 2),
            node("c", 3)
        )
    }

    fn placement(written: &str) -> Result<Placement, String> {
        let config = Config::parse(&file(written), Some("a")).map_err(|error| error.text)?;
        Ok(config.placements[&QueueManagerId(1)])
    }

    #[test]
    fn a_queue_manager_prefers_a_node_and_has_it_back_never_now_or_at_night() {
        let prefers = |fail_back| Placement { preferred: Some(NodeId(3)), fail_back };
        assert_eq!(placement(""), Ok(Placement::default()));
        assert_eq!(placement("preferred = \"c\""), Ok(prefers(FailBack::Never)));
        let with = |when: &str| placement(&format!("preferred = \"c\"\nfail_back = \"{when}\""));
        assert_eq!(with("never"), Ok(prefers(FailBack::Never)));
        assert_eq!(with("now"), Ok(prefers(FailBack::Now)));
        assert_eq!(with("02:00-04:30"), Ok(prefers(FailBack::Within { from: 120, until: 270 })));
        assert_eq!(with("23:00 - 01:00"), Ok(prefers(FailBack::Within { from: 1380, until: 60 })));
        let config =
            Config::parse(&file("preferred = \"c\"\nfail_back = \"23:00-01:00\""), Some("a")).unwrap();
        assert_eq!(
            sentences(&config),
            ["ONE prefers node c: it moves back there between 23:00 and 01:00 UTC"]
        );
    }

    #[test]
    fn what_cannot_be_meant_is_answered_with_what_to_write() {
        let refused = |written: &str| placement(written).unwrap_err();
        assert!(refused("preferred = \"d\"").contains("the file has the nodes a, b, c"));
        assert!(refused("fail_back = \"now\"").contains("write preferred = \"NODE\""));
        for wrong in ["soon", "2:00-4:00", "02:00", "25:00-26:00", "02:00-04:60", "02:00-04:00-06:00"] {
            let text = refused(&format!("preferred = \"c\"\nfail_back = \"{wrong}\""));
            assert!(text.starts_with("line 24: fail_back = ") && text.contains("\"02:00-04:00\""), "{text}");
        }
        assert!(refused("preferred = \"c\"\nfail_back = \"02:00-02:00\"").contains("nothing lies between"));
    }

    #[test]
    fn queue_managers_that_nobody_placed_are_spread_over_the_nodes() {
        let first = |written: &str, id| {
            Config::parse(&file(written), Some("a")).unwrap().stands_first(QueueManagerId(id))
        };
        assert_eq!([first("", 1), first("", 7)], [Some(NodeId(1)), Some(NodeId(2))]);
        assert_eq!(first("preferred = \"c\"", 1), Some(NodeId(3)));
    }
}
