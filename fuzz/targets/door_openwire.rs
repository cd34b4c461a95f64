//! A client's bytes at the OpenWire door of a whole node: before the negotiation, or in an open session, plain or
//! tight and cached.

use openwire::WireFormatOptions;

use super::doors::converse;
use crate::openwire_client::{self, Client};

pub fn run(data: &[u8]) {
    let Some(([plan, pieces], bytes)) = data.split_first_chunk::<2>() else {
        return;
    };
    let mut world = openwire_client::world();
    let tight = WireFormatOptions::broker("5.18.3", "fuzz", 1 << 20);
    let session = match plan % 4 {
        0 => world.connect(gateway::door::Wire::Openwire),
        1 => Client::negotiate(&mut world, "c", &tight).session,
        2 => Client::negotiate(&mut world, "c", &Client::plain()).session,
        _ => Client::open(&mut world, "c").session,
    };
    converse(&mut world, session, *pieces, bytes);
}
