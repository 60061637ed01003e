//! Topic objects: what holds for a branch of the topic tree.

use super::Kind::Topic;
use super::State::{Refused, Stored};
use super::*;

const OF: &[Kind] = &[Topic];
const DELIVERED: Words = &[("ASPARENT", 0), ("ALL", 1), ("ALLDUR", 2), ("ALLAVAIL", 3)];
const SCOPE: Words = &[("ALL", 0), ("ASPARENT", 1), ("QMGR", 4)];

#[rustfmt::skip]
pub(super) const TABLE: &[Attribute] = &[
    text(2094, "TOPICSTR", OF, 10_240, Stored, "Topic string the object stands at.").needed().fixed(),
    text(2093, "DESCR", OF, 64, Stored, "What the topic is for, at most 64 characters."),
    word(208, "TYPE", OF, &[("LOCAL", 0), ("CLUSTER", 1)], 0, Refused(NO_MQ_CLUSTERS), "Whether other queue managers know it.").fixed(),
    word(181, "PUB", OF, &[("ASPARENT", 0), ("DISABLED", 1), ("ENABLED", 2)], 0, Stored, "Whether messages can be published."),
    word(182, "SUB", OF, &[("ASPARENT", 0), ("DISABLED", 1), ("ENABLED", 2)], 0, Stored, "Whether programs can subscribe."),
    number(6, "DEFPRTY", OF, (0, 9), -2, Stored, "Priority of publications that do not say.").or(&[("ASPARENT", -2)]),
    word(185, "DEFPSIST", OF, &[("ASPARENT", -1), ("NO", 0), ("YES", 1)], -1, Stored, "Whether publications that do not say are persistent."),
    word(184, "DEFPRESP", OF, &[("ASPARENT", 0), ("SYNC", 1), ("ASYNC", 2)], 0, Stored, "How a put that does not say is answered."),
    word(175, "DURSUB", OF, &[("ASPARENT", 0), ("YES", 1), ("NO", 2)], 0, Stored, "Whether subscriptions can be durable."),
    word(195, "PMSGDLV", OF, DELIVERED, 0, Stored, "Who must get a persistent publication for the put to succeed."),
    word(196, "NPMSGDLV", OF, DELIVERED, 0, Stored, "Who must get a publication that is not persistent for the put to succeed."),
    word(219, "PUBSCOPE", OF, SCOPE, 1, Stored, "How far publications go."),
    word(218, "SUBSCOPE", OF, SCOPE, 1, Stored, "How far subscriptions go."),
    word(199, "PROXYSUB", OF, &[("FORCE", 1), ("FIRSTUSE", 2)], 2, Stored, "When other queue managers are asked for publications."),
    word(216, "WILDCARD", OF, &[("BLOCK", 1), ("PASSTHRU", 2)], 2, Stored, "Whether a wildcard further up meets topics below."),
    name(2096, "MDURMDL", OF, Stored, "Model queue of durable managed subscriptions."),
    name(2097, "MNDURMDL", OF, Stored, "Model queue of other managed subscriptions."),
    word(234, "USEDLQ", OF, &[("ASPARENT", 0), ("NO", 1), ("YES", 2)], 0, Stored, "Whether a publication that cannot be delivered goes to the dead-letter queue."),
    number(276, "CAPEXPRY", OF, (1, MOST), -2, Stored, "Longest expiry of a publication in tenths of a second.").or(&[("ASPARENT", -2), ("NOLIMIT", -1)]),
    name(2029, "CLUSTER", OF, Refused(NO_MQ_CLUSTERS), "MQ cluster the topic is in."),
    word(255, "CLROUTE", OF, &[("DIRECT", 0), ("TOPICHOST", 1)], 0, Stored, "How publications go through an MQ cluster."),
    word(176, "MCAST", OF, &[("ASPARENT", 0), ("ENABLED", 1), ("DISABLED", 2), ("ONLY", 3)], 0, Stored, "Whether publications are multicast; none is."),
    name(2110, "COMMINFO", OF, Stored, "How they would be multicast."),
    text(2119, "CUSTOM", OF, 128, Stored, "Attributes that had no name of their own."),
    fact_text(2027, "ALTDATE", OF, DAY, "Day of the last change, UTC."),
    fact_text(2028, "ALTTIME", OF, TIME, "Time of the last change, UTC."),
];
