//! A RocketMQ client: it asks, and takes what comes.

use std::collections::BTreeMap;

use broker::id::SessionId;
use gateway::door::{Door, Wire};
use gateway::remoting::{RemotingDoor, Settings};
use remoting::message::{Record, Records};
use remoting::{Decoder, FrameWriter, Opaque, Prefix, RequestCode, Version};

use crate::world::World;

pub struct Client {
    pub session: SessionId,
    version: Version,
    opaque: i32,
    inbox: Vec<u8>,
}

/// A command as it came, owned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub code: i32,
    pub opaque: i32,
    pub is_request: bool,
    pub remark: String,
    pub fields: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn field(&self, key: &str) -> &str {
        self.fields.get(key).map_or("", String::as_str)
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn records(&self) -> Vec<Record<'_>> {
        Records::new(&self.body).collect::<Result<_, _>>().unwrap()
    }

    /// The bodies of the records, as texts.
    pub fn bodies(&self) -> Vec<&str> {
        let bodies = self.records().into_iter().map(|record| record.body);
        bodies
            .map(|body| std::str::from_utf8(body).unwrap())
            .collect()
    }
}

pub fn door() -> Vec<(Wire, Box<dyn Door>)> {
    vec![(
        Wire::Remoting,
        Box::new(RemotingDoor::new(Settings::default())),
    )]
}

/// A world in which the door has had the time to wake up.
pub fn world() -> World {
    let mut world = World::new(door());
    world.pass_time(1);
    world
}

impl Client {
    pub fn new(world: &mut World) -> Client {
        Client::of(world, Version::V5_3_3)
    }

    pub fn of(world: &mut World, version: Version) -> Client {
        let session = world.connect(Wire::Remoting);
        Client {
            session,
            version,
            opaque: 0,
            inbox: Vec::new(),
        }
    }

    fn write(
        &mut self,
        world: &mut World,
        prefix: Prefix<'_>,
        fields: &[(&str, &str)],
        body: &[u8],
    ) {
        let mut out = Vec::new();
        let mut writer = FrameWriter::begin(&mut out, prefix);
        fields
            .iter()
            .for_each(|(key, value)| writer.field(key, value));
        writer.finish_with(body).unwrap();
        world.send(self.session, &out);
    }

    /// Asks, and takes nothing yet.
    pub fn tell(
        &mut self,
        world: &mut World,
        code: RequestCode,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> i32 {
        self.opaque += 1;
        let prefix = Prefix::request(code, Opaque(self.opaque), self.version);
        self.write(world, prefix, fields, body);
        self.opaque
    }

    /// Asks the same thing so many times in one piece, and takes nothing yet.
    pub fn tell_again_and_again(
        &mut self,
        world: &mut World,
        times: usize,
        code: RequestCode,
        fields: &[(&str, &str)],
    ) {
        let mut out = Vec::new();
        for _ in 0..times {
            self.opaque += 1;
            let prefix = Prefix::request(code, Opaque(self.opaque), self.version);
            let mut writer = FrameWriter::begin(&mut out, prefix);
            fields
                .iter()
                .for_each(|(key, value)| writer.field(key, value));
            writer.finish_with(&[]).unwrap();
        }
        world.send(self.session, &out);
    }

    pub fn oneway(
        &mut self,
        world: &mut World,
        code: RequestCode,
        fields: &[(&str, &str)],
        body: &[u8],
    ) {
        self.opaque += 1;
        let prefix = Prefix::oneway(code, Opaque(self.opaque), self.version);
        self.write(world, prefix, fields, body);
    }

    /// What has come since this was asked last.
    pub fn take(&mut self, world: &mut World) -> Vec<Answer> {
        self.inbox.extend(world.take(self.session));
        let mut answers = Vec::new();
        while let Some((size, command)) = Decoder::default().feed(&self.inbox).unwrap() {
            answers.push(Answer {
                code: command.code,
                opaque: command.opaque.0,
                is_request: !command.is_response(),
                remark: command.remark.as_deref().unwrap_or_default().to_owned(),
                fields: command
                    .ext
                    .iter()
                    .map(|(k, v)| (k.into_owned(), v.into_owned()))
                    .collect(),
                body: command.body.to_vec(),
            });
            self.inbox.drain(..size);
        }
        answers
    }

    /// Asks, and takes the one answer; requests of the broker that come with it are passed over.
    pub fn ask(
        &mut self,
        world: &mut World,
        code: RequestCode,
        fields: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        let opaque = self.tell(world, code, fields, body);
        let answers = self.take(world);
        let mut mine = answers
            .into_iter()
            .filter(|a| !a.is_request && a.opaque == opaque);
        let answer = mine
            .next()
            .unwrap_or_else(|| panic!("{} is not answered", code.name()));
        assert_eq!(mine.next(), None, "one answer");
        answer
    }

    /// Sends to a queue; a negative one leaves it to the broker.
    pub fn send(
        &mut self,
        world: &mut World,
        topic: &str,
        queue: i32,
        properties: &str,
        body: &str,
    ) -> Answer {
        let queue = queue.to_string();
        let fields = send_fields(topic, &queue, properties);
        self.ask(world, RequestCode::SendMessageV2, &fields, body.as_bytes())
    }

    /// Pulls what a tag expression wants, without waiting.
    pub fn pull(&mut self, world: &mut World, topic: &str, offset: u64, tags: &str) -> Answer {
        let offset = offset.to_string();
        let fields = pull_fields(topic, &offset, tags, "4", "0");
        self.ask(world, RequestCode::PullMessage, &fields, &[])
    }

    /// Says that the client is there as a consumer and a producer.
    pub fn beat(&mut self, world: &mut World, id: &str, group: &str, topics: &[&str]) -> Answer {
        let wants = |topic: &&str| {
            format!(
                r#"{{"topic":"{topic}","subString":"*","subVersion":1,"expressionType":"TAG"}}"#
            )
        };
        let subscriptions: Vec<_> = topics.iter().map(wants).collect();
        let body = format!(
            r#"{{"clientID":"{id}","producerDataSet":[{{"groupName":"PG"}}],"consumerDataSet":[{{
                "groupName":"{group}","consumeType":"CONSUME_PASSIVELY",
                "messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",
                "subscriptionDataSet":[{}]}}]}}"#,
            subscriptions.join(",")
        );
        self.ask(world, RequestCode::HeartBeat, &[], body.as_bytes())
    }
}

pub fn send_fields<'a>(
    topic: &'a str,
    queue: &'a str,
    properties: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("a", "PG"),
        ("b", topic),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", queue),
        ("f", "0"),
        ("g", "1600000000000"),
        ("h", "7"),
        ("i", properties),
    ]
}

pub fn pull_fields<'a>(
    topic: &'a str,
    offset: &'a str,
    tags: &'a str,
    flag: &'a str,
    suspend_ms: &'a str,
) -> Vec<(&'a str, &'a str)> {
    vec![
        ("consumerGroup", "CG"),
        ("topic", topic),
        ("queueId", "0"),
        ("queueOffset", offset),
        ("maxMsgNums", "32"),
        ("sysFlag", flag),
        ("commitOffset", "0"),
        ("suspendTimeoutMillis", suspend_ms),
        ("subscription", tags),
        ("subVersion", "0"),
    ]
}
