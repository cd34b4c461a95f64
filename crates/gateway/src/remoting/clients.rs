//! Who is there: producers and consumers by group, as their last heartbeats say. Nothing here
//! survives a restart; clients say it again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use broker::id::{Millis, SessionId};
use remoting::body::{
    ConsumeFromWhere, ConsumeType, ConsumerData, HeartbeatData, MessageModel, SubscriptionData,
};
use remoting::{Language, Version};

/// The most groups, of both kinds, that one channel is in.
pub const GROUPS_MAX: usize = 2_048;
/// The most bytes of texts by which a member says what its group wants.
pub const SUBSCRIPTIONS_BYTES_MAX: usize = 256 << 10;
/// A member that has not said anything for so long is gone.
pub const EXPIRY_MS: u64 = 120_000;

/// One channel in one group.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: Box<str>,
    pub address: SocketAddr,
    pub language: Language,
    pub version: Version,
    pub last_beat: Millis,
}

/// What a group wants of a topic, with the tags that readers are picked by.
#[derive(Clone, Debug)]
pub struct Subscription {
    pub data: SubscriptionData,
    /// `None` wants everything.
    pub tags: Option<Arc<[u32]>>,
}

/// The members of a consumer group. What they want of topics is the group's; if members differ,
/// the last one who spoke is right, as in Apache.
#[derive(Debug, Default)]
pub struct ConsumerGroup {
    pub members: BTreeMap<SessionId, Client>,
    pub subscriptions: BTreeMap<Box<str>, Subscription>,
    pub consume_type: Option<ConsumeType>,
    pub model: Option<MessageModel>,
    pub from_where: Option<ConsumeFromWhere>,
    fingerprint: i32,
}

impl ConsumerGroup {
    pub fn is_broadcasting(&self) -> bool {
        self.model == Some(MessageModel::Broadcasting)
    }

    /// In an order that is the same for everybody who asks.
    pub fn client_ids(&self) -> Vec<String> {
        let ids: BTreeSet<&str> = self.members.values().map(|client| &*client.id).collect();
        ids.into_iter().map(str::to_owned).collect()
    }
}

#[derive(Debug, Default)]
pub struct Clients {
    consumers: BTreeMap<Box<str>, ConsumerGroup>,
    producers: BTreeMap<Box<str>, BTreeMap<SessionId, Client>>,
    /// In how many groups each channel is.
    memberships: HashMap<SessionId, usize>,
    /// Groups whose members are to be told that something changed.
    changed: BTreeSet<Box<str>>,
}

/// Picks the hashes of the tags out of a subscription's text: `None` is everything.
pub fn tags_of(text: &str) -> Result<Option<Arc<[u32]>>, &'static str> {
    if text.is_empty() || text == "*" {
        return Ok(None);
    }
    let tags: Vec<u32> = text
        .split("||")
        .map(str::trim)
        .filter(|tag| !tag.is_empty())
        .map(crate::partition::tag_hash)
        .collect();
    if tags.is_empty() {
        return Err("parse the consumer's subscription failed: subString split error");
    }
    Ok(Some(tags.into()))
}

impl Clients {
    pub fn consumer_group(&self, group: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(group)
    }

    pub fn producer_group(&self, group: &str) -> Option<&BTreeMap<SessionId, Client>> {
        self.producers.get(group)
    }

    pub fn consumer_groups(&self) -> impl Iterator<Item = (&str, &ConsumerGroup)> {
        self.consumers.iter().map(|(name, group)| (&**name, group))
    }

    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty() && self.producers.is_empty()
    }

    /// Which limit a heartbeat would exceed.
    pub fn check_room(&self, session: SessionId, beat: &HeartbeatData) -> Result<(), &'static str> {
        let consumed = beat.consumer_data_set.iter().filter(|data| {
            let group = self.consumers.get(data.group_name.as_str());
            group.is_none_or(|group| !group.members.contains_key(&session))
        });
        let produced = beat.producer_data_set.iter().filter(|data| {
            let members = self.producers.get(data.group_name.as_str());
            members.is_none_or(|members| !members.contains_key(&session))
        });
        let known = self.memberships.get(&session).copied().unwrap_or(0);
        if known + consumed.count() + produced.count() > GROUPS_MAX {
            return Err("groups of one client");
        }
        let is_large = |data: &ConsumerData| {
            let wanted = data.subscription_data_set.iter();
            wanted.map(text_bytes).sum::<usize>() > SUBSCRIPTIONS_BYTES_MAX
        };
        if beat.consumer_data_set.iter().any(is_large) {
            return Err("subscriptions of one group");
        }
        Ok(())
    }

    /// A producer says that it is there.
    pub fn produces(&mut self, group: &str, session: SessionId, client: Client) {
        let before = match self.producers.get_mut(group) {
            Some(members) => members.insert(session, client),
            None => {
                let members = BTreeMap::from([(session, client)]);
                self.producers.insert(group.into(), members);
                None
            }
        };
        if before.is_none() {
            *self.memberships.entry(session).or_default() += 1;
        }
    }

    /// A consumer says that it is there and what it wants; answers whether the client must say
    /// again what it wants, because we do not know it.
    pub fn consumes(
        &mut self,
        session: SessionId,
        client: Client,
        data: &ConsumerData,
        fingerprint: i32,
        without_subscriptions: bool,
    ) -> bool {
        let name: Box<str> = data.group_name.as_str().into();
        let group = self.consumers.entry(name.clone()).or_default();
        let is_unknown = without_subscriptions && group.fingerprint != fingerprint;
        if !without_subscriptions {
            group.fingerprint = fingerprint;
        }
        let is_new = match group.members.insert(session, client) {
            None => {
                *self.memberships.entry(session).or_default() += 1;
                true
            }
            Some(before) => group
                .members
                .get(&session)
                .is_some_and(|now| now.id != before.id),
        };
        group.consume_type = data.consume_type;
        group.model = data.message_model;
        group.from_where = data.consume_from_where;
        let is_other = !without_subscriptions && group.subscribe(&data.subscription_data_set);
        if is_new || is_other {
            self.changed.insert(name);
        }
        is_unknown
    }

    /// A client leaves one group, or both of its kinds, by request 35.
    pub fn unregister(
        &mut self,
        session: SessionId,
        producer: Option<&str>,
        consumer: Option<&str>,
    ) {
        if let Some(name) = producer
            && let Some(members) = self.producers.get_mut(name)
        {
            if members.remove(&session).is_some() {
                forget(&mut self.memberships, session);
            }
            if members.is_empty() {
                self.producers.remove(name);
            }
        }
        if let Some(name) = consumer
            && let Some(group) = self.consumers.get_mut(name)
            && group.members.remove(&session).is_some()
        {
            forget(&mut self.memberships, session);
            self.changed.insert(name.into());
            if group.members.is_empty() {
                self.consumers.remove(name);
            }
        }
    }

    /// A channel is gone, and with it every membership.
    pub fn leave(&mut self, session: SessionId) {
        self.retain(|member, _| member != session);
    }

    /// Forgets who has not been heard of.
    pub fn expire(&mut self, now: Millis) {
        self.retain(|_, client| now.since(client.last_beat) <= EXPIRY_MS);
    }

    fn retain(&mut self, keep: impl Fn(SessionId, &Client) -> bool) {
        let memberships = &mut self.memberships;
        let mut keeps = |session: &SessionId, client: &mut Client| {
            let is_kept = keep(*session, client);
            if !is_kept {
                forget(memberships, *session);
            }
            is_kept
        };
        self.producers.retain(|_, members| {
            members.retain(&mut keeps);
            !members.is_empty()
        });
        let changed = &mut self.changed;
        self.consumers.retain(|name, group| {
            let before = group.members.len();
            group.members.retain(&mut keeps);
            if group.members.len() < before {
                changed.insert(name.clone());
            }
            !group.members.is_empty()
        });
    }

    /// The groups that changed since this was asked last.
    pub fn take_changed(&mut self) -> BTreeSet<Box<str>> {
        std::mem::take(&mut self.changed)
    }
}

/// A channel is in one group less.
fn forget(memberships: &mut HashMap<SessionId, usize>, session: SessionId) {
    if let Some(count) = memberships.get_mut(&session) {
        *count -= 1;
        if *count == 0 {
            memberships.remove(&session);
        }
    }
}

/// What the texts of a subscription take.
fn text_bytes(data: &SubscriptionData) -> usize {
    let tags: usize = data
        .tags_set
        .iter()
        .map(|tag| tag.len() + size_of::<String>())
        .sum();
    let codes = data.code_set.len() * size_of::<i32>();
    size_of::<SubscriptionData>() + data.topic.len() + data.sub_string.len() + tags + codes
}

impl ConsumerGroup {
    /// Takes over what a member wants; answers whether topics came or went.
    fn subscribe(&mut self, wanted: &[SubscriptionData]) -> bool {
        let mut changed = false;
        for data in wanted {
            let topic: &str = &data.topic;
            let known = self.subscriptions.get(topic);
            if known.is_some_and(|known| known.data.sub_version >= data.sub_version) {
                continue;
            }
            changed |= known.is_none();
            // The codes that the client computed are what Apache compares with.
            let tags = if data.sub_string == "*" || data.code_set.is_empty() {
                None
            } else {
                Some(data.code_set.iter().map(|code| *code as u32).collect())
            };
            self.subscriptions.insert(
                topic.into(),
                Subscription {
                    data: data.clone(),
                    tags,
                },
            );
        }
        let before = self.subscriptions.len();
        self.subscriptions
            .retain(|topic, _| wanted.iter().any(|data| *data.topic == **topic));
        changed || self.subscriptions.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(id: &str, at: u64) -> Client {
        Client {
            id: id.into(),
            address: "127.0.0.1:5".parse().unwrap(),
            language: Language::Java,
            version: Version::V5_3_3,
            last_beat: Millis(at),
        }
    }

    fn data(topics: &[&str]) -> ConsumerData {
        let wants = |topic: &&str| SubscriptionData {
            topic: (*topic).to_owned(),
            sub_string: "*".to_owned(),
            sub_version: 1,
            ..SubscriptionData::default()
        };
        ConsumerData {
            group_name: "g".to_owned(),
            subscription_data_set: topics.iter().map(wants).collect(),
            ..ConsumerData::default()
        }
    }

    #[test]
    fn members_are_told_of_who_comes_goes_and_wants_something_else() {
        let mut clients = Clients::default();
        let beat = |session, at, topics: &[&str], clients: &mut Clients| {
            clients.consumes(SessionId(session), client("c", at), &data(topics), 0, false);
            clients.take_changed().len()
        };
        assert_eq!(beat(1, 0, &["a"], &mut clients), 1);
        assert_eq!(beat(1, 0, &["a"], &mut clients), 0);
        assert_eq!(beat(2, 50_000, &["a"], &mut clients), 1);
        assert_eq!(beat(2, 50_000, &["a", "b"], &mut clients), 1);
        assert_eq!(beat(2, 50_000, &["a"], &mut clients), 1);
        clients.expire(Millis(120_001));
        assert_eq!(clients.take_changed().len(), 1);
        clients.leave(SessionId(2));
        assert_eq!(clients.take_changed().len(), 1);
        assert!(clients.is_empty() && clients.memberships.is_empty());
    }

    #[test]
    fn a_channel_is_in_so_many_groups() {
        let mut clients = Clients::default();
        let session = SessionId(1);
        for number in 0..GROUPS_MAX - 1 {
            clients.produces(&format!("p{number}"), session, client("c", 0));
        }
        let consumer = HeartbeatData {
            consumer_data_set: vec![data(&["a"])],
            ..HeartbeatData::default()
        };
        assert_eq!(clients.check_room(session, &consumer), Ok(()));
        clients.consumes(session, client("c", 0), &data(&["a"]), 0, false);
        // Once in a group, it stays; another one is too many.
        assert_eq!(clients.check_room(session, &consumer), Ok(()));
        let mut another = consumer.clone();
        another.consumer_data_set[0].group_name = "h".to_owned();
        let full = Err("groups of one client");
        assert_eq!(clients.check_room(session, &another), full);
        assert_eq!(clients.check_room(SessionId(2), &another), Ok(()));
        clients.unregister(session, Some("p7"), None);
        assert_eq!(clients.check_room(session, &another), Ok(()));
        let topic = "t".repeat(SUBSCRIPTIONS_BYTES_MAX);
        another.consumer_data_set = vec![data(&[&topic])];
        let large = Err("subscriptions of one group");
        assert_eq!(clients.check_room(session, &another), large);
    }

    #[test]
    fn subscriptions_are_texts_of_tags() {
        assert_eq!(tags_of("*"), Ok(None));
        assert_eq!(tags_of(""), Ok(None));
        assert_eq!(
            tags_of("TagA || TagB"),
            Ok(Some([2_598_919, 2_598_920].into()))
        );
        assert!(tags_of("||").is_err());
    }
}
