//! The state of a node: what can be restored, is written as a state that restores to the same bytes.

use broker::event::PageSlot;
use broker::id::{Durability, Millis};
use broker::node::{Config, Node};
use broker::topology::{AddressSpec, Limits, Router};

pub fn config() -> Config {
    let address = |name: &str, router| AddressSpec {
        name: name.into(),
        router,
        durability: Durability::Durable,
        auto_delete: false,
        internal: false,
        reserved: false,
        owner: None,
        alternate: None,
        partitions: None,
        arguments: [].into(),
    };
    Config {
        addresses: vec![
            address("", Router::Direct),
            address("heads", Router::Headers),
        ],
        birth: |_| None,
        limits: Limits::default(),
        tag_hash: |text| text.len() as u32,
    }
}

fn written(node: &mut Node) -> Vec<u8> {
    let mut next = 1 << 20;
    let checkpoint = node.checkpoint(&mut |_| {
        next += 1;
        PageSlot(next)
    });
    checkpoint.state
}

pub fn run(data: &[u8]) {
    let Ok(mut node) = Node::restore(config(), data) else {
        return;
    };
    let state = written(&mut node);
    let mut again = Node::restore(config(), &state).expect("what was written can be restored");
    assert_eq!(written(&mut again), state);
    again.recovered(Millis(1_700_000_000_000));
    let _ = (again.deadline(), again.has_work());
}
