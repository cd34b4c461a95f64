//! What the judges must not let pass: each promise broken once, in as few words as it takes.

use super::super::world::{Stop, Verdict};
use super::judge::{Got, Handed, Holder, Judge, Receiver, Sender};
use super::message::{Queue, body};
use super::partitions::Partitions;

const TAKER: Holder = Holder(1_000);
const OTHER: Holder = Holder(1_001);
const PLACE: Receiver = Receiver(1_002);
const SENDER: Sender = Sender(1_003);

/// A judge who knows of so many messages that were confirmed.
fn confirmed(messages: u64) -> Judge {
    let mut judge = Judge::default();
    for number in 1..=messages {
        judge.sent((Queue::Jobs, number), SENDER, true);
        assert!(judge.confirmed(number, &[Queue::Jobs]).is_ok());
    }
    judge
}

fn deliver(judge: &mut Judge, number: u64, redelivered: bool, holder: Holder) -> Verdict<Got> {
    judge.delivered(&Handed {
        queue: Queue::Jobs,
        body: body(number).as_bytes(),
        redelivered,
        receiver: PLACE,
        holder,
    })
}

fn check<T>(verdict: Verdict<T>, expected: &str) {
    match verdict {
        Err(Stop::Breach(words)) => assert!(words.contains(expected), "{words}"),
        Err(Stop::Fault(fault)) => panic!("{fault}"),
        Ok(_) => panic!("nobody minds: {expected}"),
    }
}

#[test]
fn a_queue_that_keeps_its_promises_passes() {
    let mut judge = confirmed(3);
    for (number, redelivered) in [(1, false), (2, false), (3, false)] {
        assert!(deliver(&mut judge, number, redelivered, TAKER).is_ok());
    }
    // One is settled for good, one is returned, and of one nobody knows.
    let keys = [(Queue::Jobs, 1), (Queue::Jobs, 2), (Queue::Jobs, 3)];
    judge.ask_to_settle(keys[0], TAKER);
    judge.ask_to_settle(keys[2], TAKER);
    assert!(judge.gone(&keys[..1]).is_ok());
    judge.released(keys[1]);
    judge.crashed();
    assert!(deliver(&mut judge, 2, true, OTHER).is_ok());
    judge.ask_to_settle(keys[1], OTHER);
    assert!(judge.judge_end().is_ok());
}

#[test]
fn what_a_queue_must_not_do_is_found() {
    let key = (Queue::Jobs, 1);
    check(confirmed(1).judge_end(), "was promised and is lost");
    check(
        deliver(&mut confirmed(1), 2, false, TAKER),
        "was never sent",
    );
    check(
        deliver(&mut confirmed(1), 1, true, TAKER),
        "is marked and was never handed out",
    );
    let mut judge = confirmed(2);
    assert!(deliver(&mut judge, 2, false, TAKER).is_ok());
    check(deliver(&mut judge, 1, false, TAKER), "comes behind Some(2)");

    let mut judge = confirmed(1);
    assert!(deliver(&mut judge, 1, false, TAKER).is_ok());
    check(deliver(&mut judge, 1, true, OTHER), "is held by another");
    judge.released(key);
    check(
        deliver(&mut judge, 1, false, OTHER),
        "comes again without a mark",
    );
    judge.ask_to_settle(key, TAKER);
    check(deliver(&mut judge, 1, true, OTHER), "was settled by");
    judge.settled(&[key]);
    check(
        deliver(&mut judge, 1, true, OTHER),
        "was settled and came again",
    );
    assert!(judge.gone(&[key]).is_ok());
    judge.crashed();
    check(
        deliver(&mut judge, 1, true, OTHER),
        "is gone for good and came again",
    );

    let mut judge = Judge::default();
    judge.sent(key, SENDER, true);
    assert!(judge.refused(1).is_ok());
    check(deliver(&mut judge, 1, false, TAKER), "was refused and came");
    check(
        judge.confirmed(1, &[Queue::Jobs]),
        "was refused and is confirmed",
    );
}

/// A transaction takes the message 1 and brings 2 and 3.
fn asked_for() -> (Judge, usize) {
    let mut judge = confirmed(1);
    let deal = judge.open_deal();
    for number in [2, 3] {
        judge.sent((Queue::Jobs, number), SENDER, true);
        judge.brings(deal, (Queue::Jobs, number));
    }
    assert!(deliver(&mut judge, 1, false, TAKER).is_ok());
    judge.ask_for(deal, vec![(Queue::Jobs, 1)], TAKER);
    judge.crashed();
    (judge, deal)
}

#[test]
fn what_is_torn_is_found() {
    let mut open = confirmed(0);
    let deal = open.open_deal();
    open.sent((Queue::Jobs, 1), SENDER, true);
    open.brings(deal, (Queue::Jobs, 1));
    check(deliver(&mut open, 1, false, TAKER), "before it was decided");

    let (mut judge, _) = asked_for();
    check(judge.judge_end(), "neither done nor undone");
    assert!(deliver(&mut judge, 2, true, TAKER).is_ok());
    judge.ask_to_settle((Queue::Jobs, 2), TAKER);
    check(judge.judge_end(), "(Jobs, 3) was promised and is lost");
    check(
        deliver(&mut judge, 1, true, OTHER),
        "is gone for good and came again",
    );

    let (mut judge, deal) = asked_for();
    assert!(deliver(&mut judge, 1, true, TAKER).is_ok());
    check(deliver(&mut judge, 3, true, OTHER), "was refused and came");
    check(judge.happened(deal), "it was undone and has happened");
}

#[test]
fn what_a_partition_must_not_do_is_found() {
    let sent = |count: u64| {
        let mut partitions = Partitions::default();
        (1..=count).for_each(|number| partitions.sent(number, SENDER));
        partitions
    };
    let mut sound = sent(2);
    assert!(sound.answered(1, 0, 0).is_ok());
    assert!(sound.stands(0, 1, 2).is_ok());
    assert!(sound.judge_end().is_ok());
    check(
        sound.stands(0, 0, 2),
        "2 stands at Some((0, 1)) and at (0, 0)",
    );
    check(sent(1).stands(0, 0, 2), "was never sent");
    let mut other = sent(2);
    assert!(other.answered(1, 0, 0).is_ok());
    check(other.stands(0, 0, 2), "Some(1) and 2 stand at (0, 0)");
    let mut unsorted = sent(2);
    assert!(unsorted.answered(2, 0, 0).is_ok());
    check(
        unsorted.answered(1, 0, 1),
        "stands between Some(2) and None",
    );
    let mut lost = sent(1);
    assert!(lost.confirmed(1).is_ok());
    check(lost.judge_end(), "was confirmed and is in no partition");
    let mut gap = sent(1);
    assert!(gap.answered(1, 0, 1).is_ok());
    check(gap.judge_end(), "partition 0 has gaps");
    let mut refused = sent(1);
    assert!(refused.refused(1).is_ok());
    check(refused.stands(0, 0, 1), "was refused");
}

#[test]
fn a_group_stands_where_it_has_said() {
    let mut partitions = Partitions::default();
    let told = |partitions: &mut Partitions, offset: Option<u64>| {
        let since = partitions.stands_since(1, 0);
        partitions.told(1, 0, since, offset)
    };
    assert!(told(&mut partitions, None).is_ok());
    let first = partitions.said(1, 0, 7);
    partitions.kept(1, 0, first);
    partitions.said(1, 0, 9);
    assert!(told(&mut partitions, Some(9)).is_ok());
    check(told(&mut partitions, Some(7)), "stands at Some(7)");
    // What was not answered may be lost, and what was may not.
    partitions.crashed();
    check(told(&mut partitions, None), "stands at None");
    assert!(told(&mut partitions, Some(7)).is_ok());
    check(told(&mut partitions, Some(9)), "stands at Some(9)");
}
