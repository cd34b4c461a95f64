//! Appends 1 KB messages in frames and tells messages per second, CPU per message, syncs.
//!
//! `cargo run --release -p store --example append_bench -- <dir> [messages] [per frame] [in flight]`

use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use store::{
    Class, Completion, Durability, FileDisk, FrameBuilder, Millis, NodeId, Options, Shard,
    ShardMark, Store, Term,
};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let directory = PathBuf::from(arguments.next().expect("the first argument is a directory"));
    let mut number = |default: u64| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (messages, per_frame, in_flight) = (number(1_000_000), number(64), number(4096));
    let (bell, heard) = channel();
    let bell = Mutex::new(bell);
    let waker = Arc::new(move || {
        let _ = bell.lock().expect("no ringer panics").send(());
    });
    let disk = Arc::new(FileDisk::new(directory));
    let started = Instant::now();
    let (mut store, recovered) =
        Store::open(disk, Options::new(NodeId(1), waker)).expect("the directory opens");
    let replayed = recovered
        .frames
        .inspect(|frame| assert!(frame.is_ok()))
        .count();
    println!(
        "opened in {:?}, {replayed} frames replayed",
        started.elapsed()
    );

    let shard = Shard::new(0);
    let first = store.last_index(shard);
    let body = [7u8; 1024];
    let started = Instant::now();
    let (mut sent, mut groups) = (0, 0u64);
    let mut synced = first;
    while sent < messages || synced < store.last_index(shard) {
        while sent < messages
            && (store.last_index(shard).number() - synced.number()) * per_frame < in_flight
        {
            let mut builder = FrameBuilder::new();
            for n in 0..per_frame {
                let slot = builder
                    .push_record(&[&n.to_le_bytes(), &body])
                    .expect("it fits");
                builder.set_meta(slot, &[1; 8]).expect("it fits");
            }
            let now = Millis(started.elapsed().as_millis() as u64);
            let time = now.max(store.last_time(shard));
            let frame = builder.finish(store.last_index(shard).next(), shard, Term(0), time);
            store
                .append(frame, Durability::Awaited, Class::Ordinary)
                .expect("the log takes it");
            sent += per_frame;
        }
        if !store.commit() {
            heard.recv().expect("the store wakes its owner");
        }
        for completion in store.poll() {
            match completion {
                Completion::Synced { index, .. } => {
                    synced = index;
                    groups += 1;
                }
                Completion::Fault(error) => panic!("{error}"),
                other => println!("{other:?}"),
            }
        }
        let now = Millis(started.elapsed().as_millis() as u64);
        if store.needs_checkpoint(now) {
            let mark = ShardMark {
                shard,
                applied: synced,
                low_water: synced.next(),
            };
            store.checkpoint(Vec::new(), &[mark], [], now);
        }
    }
    let took = started.elapsed();
    let rate = sent as f64 / took.as_secs_f64();
    println!("{sent} messages in {took:?}: {rate:.0} msg/s, {groups} groups");
    store.close().expect("the store closes");
}
