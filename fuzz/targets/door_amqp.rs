//! A client's octets at the AMQP door of a whole node: before the login, or on an open channel with a queue.

use amqp::{Method, TableRef};

use super::doors::converse;
use crate::amqp_client::{self, Client};

pub fn run(data: &[u8]) {
    let Some(([plan, pieces], octets)) = data.split_first_chunk::<2>() else {
        return;
    };
    let mut world = amqp_client::world();
    let session = match plan % 2 {
        0 => Client::connect(&mut world).session,
        _ => {
            let mut client = Client::open(&mut world);
            let queue = Method::QueueDeclare {
                queue: "q",
                passive: false,
                durable: true,
                exclusive: false,
                auto_delete: false,
                nowait: false,
                arguments: TableRef::EMPTY,
            };
            client.say(&mut world, 1, &[queue]);
            client.session
        }
    };
    converse(&mut world, session, *pieces, octets);
}
