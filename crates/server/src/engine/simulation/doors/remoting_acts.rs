//! What a client of RocketMQ asks for.

use remoting::RequestCode;

use super::client::Scene;
use super::message::{Queue, TICKS, body};
use super::partitions::PARTITIONS;
use super::remoting::{Ask, Remoting};

/// The filter is in the request, and the pull may wait.
const HELD: &str = "6";
/// The filter is in the request.
pub(super) const AT_ONCE: &str = "4";

impl Remoting {
    /// Sends the first message, which makes the topic, before anything is bound to it.
    pub fn found(&mut self, scene: &mut Scene<'_>) {
        let number = scene.judge.number();
        let sender = self.sender.expect("it is connected");
        scene.partitions.sent(number, sender);
        self.send_so(Ask::Found(number), number, 0, scene);
    }

    pub fn send(&mut self, scene: &mut Scene<'_>) {
        let (number, partition) = (scene.judge.number(), self.partition(scene));
        let sender = self.sender.expect("it is connected");
        scene.partitions.sent(number, sender);
        scene.judge.sent((Queue::Notes, number), sender, true);
        self.send_so(Ask::Send { number, partition }, number, partition, scene);
    }

    fn send_so(&mut self, ask: Ask, number: u64, partition: u32, scene: &mut Scene<'_>) {
        let properties = format!("TAGS\u{1}tag\u{2}UNIQ_KEY\u{1}{number}\u{2}");
        self.send_with(ask, number, partition, ("0", &properties), scene);
    }

    /// Sends a message with a system flag and properties.
    pub fn send_with(
        &mut self,
        ask: Ask,
        number: u64,
        partition: u32,
        (flag, properties): (&str, &str),
        scene: &mut Scene<'_>,
    ) {
        let (queue, count) = (partition.to_string(), PARTITIONS.to_string());
        let producers = self.producers();
        let fields = [
            ("a", producers.as_str()),
            ("b", TICKS),
            ("c", "TBW102"),
            ("d", &count),
            ("e", &queue),
            ("f", flag),
            ("g", "1600000000000"),
            ("h", "7"),
            ("i", properties),
        ];
        let body = body(number);
        self.ask(
            ask,
            RequestCode::SendMessageV2,
            &fields,
            body.as_bytes(),
            scene,
        );
    }

    pub fn partition(&self, scene: &mut Scene<'_>) -> u32 {
        scene.dice.below(u64::from(PARTITIONS)) as u32
    }

    pub fn pull(&mut self, scene: &mut Scene<'_>) {
        let partition = self.partition(scene);
        let end = scene.partitions.end(partition);
        let offset = match scene.dice.below(3) {
            0 => scene.dice.below(end + 1),
            _ => self.next[partition as usize],
        };
        let flag = if scene.once_in(3) { HELD } else { AT_ONCE };
        self.pull_from(partition, offset, flag, scene);
    }

    pub fn pull_from(&mut self, partition: u32, offset: u64, flag: &str, scene: &mut Scene<'_>) {
        let (queue, from) = (partition.to_string(), offset.to_string());
        let most = (1 + scene.dice.below(32)).to_string();
        let wait = (1 + scene.dice.below(3_000)).to_string();
        let group = self.group();
        let fields = [
            ("consumerGroup", group.as_str()),
            ("topic", TICKS),
            ("queueId", &queue),
            ("queueOffset", &from),
            ("maxMsgNums", &most),
            ("sysFlag", flag),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", &wait),
            ("subscription", "*"),
            ("subVersion", "0"),
        ];
        let end = scene.partitions.end(partition);
        let ask = Ask::Pull {
            partition,
            offset,
            end,
        };
        self.ask(ask, RequestCode::PullMessage, &fields, &[], scene);
    }

    pub fn stand(&mut self, scene: &mut Scene<'_>) {
        let partition = self.partition(scene);
        let offset = scene.dice.below(scene.partitions.end(partition) + 1);
        let place = scene.partitions.said(self.group, partition, offset);
        let (queue, group) = (partition.to_string(), self.group());
        let fields = [
            ("consumerGroup", group.as_str()),
            ("topic", TICKS),
            ("queueId", &queue),
            ("commitOffset", &offset.to_string()),
        ];
        let ask = Ask::Stand { partition, place };
        self.ask(ask, RequestCode::UpdateConsumerOffset, &fields, &[], scene);
    }

    pub fn where_it_stands(&mut self, scene: &mut Scene<'_>) {
        let partition = self.partition(scene);
        let (queue, group) = (partition.to_string(), self.group());
        let fields = [
            ("consumerGroup", group.as_str()),
            ("topic", TICKS),
            ("queueId", &queue),
        ];
        let since = scene.partitions.stands_since(self.group, partition);
        let ask = Ask::Where { partition, since };
        self.ask(ask, RequestCode::QueryConsumerOffset, &fields, &[], scene);
    }

    pub fn end(&mut self, scene: &mut Scene<'_>) {
        let partition = self.partition(scene);
        let end = scene.partitions.end(partition);
        let queue = partition.to_string();
        let fields = [("topic", TICKS), ("queueId", queue.as_str())];
        let ask = Ask::End { end };
        self.ask(ask, RequestCode::GetMaxOffset, &fields, &[], scene);
    }
}
