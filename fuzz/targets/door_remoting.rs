//! A client's bytes at the RocketMQ door of a whole node, which already has a topic.

use remoting::RequestCode;

use super::doors::converse;
use crate::remoting_client::{self, Client};

pub fn run(data: &[u8]) {
    let Some((pieces, bytes)) = data.split_first() else {
        return;
    };
    let mut world = remoting_client::world();
    let mut client = Client::new(&mut world);
    let topic = [
        ("topic", "t"),
        ("defaultTopic", "TBW102"),
        ("readQueueNums", "2"),
        ("writeQueueNums", "2"),
        ("perm", "6"),
        ("topicFilterType", "SINGLE_TAG"),
        ("topicSysFlag", "0"),
        ("order", "false"),
    ];
    client.tell(&mut world, RequestCode::UpdateAndCreateTopic, &topic, &[]);
    converse(&mut world, client.session, *pieces, bytes);
}
