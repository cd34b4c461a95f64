//! Half messages: sent, decided by their sender, and decided when the broker asks.

use remoting::RequestCode;
use remoting::message::Records;

use super::super::world::Verdict;
use super::client::{Scene, unexpected};
use super::judge::Holder;
use super::message::{Queue, number_of};
use super::remoting::{Answer, Ask, Remoting, WHO};

/// Of all that are not decided.
const HALVES_MAX: usize = 8;
/// Nobody holds what a half message brings.
const NOBODY: Holder = Holder(0);
const HALF: &str = "4";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Decision {
    Commit,
    Rollback,
}

impl Decision {
    fn word(self) -> &'static str {
        match self {
            Decision::Commit => "8",
            Decision::Rollback => "12",
        }
    }
}

/// A half message as its sender knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Half {
    /// What brings its copies into queues.
    deal: usize,
    /// Where the broker keeps it: its offset, and its name.
    place: Option<(u64, u64)>,
    decision: Option<Decision>,
}

impl Remoting {
    pub fn send_half(&mut self, scene: &mut Scene<'_>) {
        if self.halves.len() >= HALVES_MAX {
            return;
        }
        let (number, partition) = (scene.judge.number(), self.partition(scene));
        // It comes when it is committed, whatever was sent before or behind it.
        let sender = scene.judge.sender();
        let deal = scene.judge.open_deal();
        scene.partitions.sent_half(number, sender);
        scene.judge.sent((Queue::Notes, number), sender, true);
        scene.judge.brings(deal, (Queue::Notes, number));
        let half = Half {
            deal,
            place: None,
            decision: None,
        };
        self.halves.insert(number, half);
        let producers = self.producers();
        let properties = format!(
            "TRAN_MSG\u{1}true\u{2}PGROUP\u{1}{producers}\u{2}TAGS\u{1}tag\u{2}UNIQ_KEY\u{1}{number}\u{2}"
        );
        self.send_with(
            Ask::Half { number },
            number,
            partition,
            (HALF, &properties),
            scene,
        );
    }

    pub fn half_answered(
        &mut self,
        number: u64,
        answer: &Answer,
        scene: &mut Scene<'_>,
    ) -> Verdict {
        if answer.code != 0 {
            scene.counts.note("RocketMQ half refused");
            return self.undo(number, scene);
        }
        scene.counts.note("RocketMQ half");
        let id = answer.text("msgId");
        let name = id
            .get(16..)
            .and_then(|text| u64::from_str_radix(text, 16).ok());
        let name = name.ok_or_else(|| unexpected(WHO, answer))?;
        let place = Some((answer.number("queueOffset")?, name));
        if let Some(half) = self.halves.get_mut(&number) {
            half.place = place;
        }
        Ok(())
    }

    /// It is never committed.
    fn undo(&mut self, number: u64, scene: &mut Scene<'_>) -> Verdict {
        let Some(half) = self.halves.remove(&number) else {
            return Err(unexpected(WHO, number));
        };
        scene.partitions.undone(number);
        scene.judge.came_to_nothing(half.deal)
    }

    /// What becomes of one; a sender does not change its mind.
    fn make_up_mind(&mut self, number: u64, scene: &mut Scene<'_>) -> Option<Decision> {
        let half = self.halves.get_mut(&number)?;
        if half.decision.is_none() {
            let decision = match scene.dice.below(3) {
                0 => Decision::Rollback,
                _ => Decision::Commit,
            };
            half.decision = Some(decision);
            match decision {
                Decision::Commit => {
                    scene.judge.ask_for(half.deal, Vec::new(), NOBODY);
                    scene.partitions.committing(number);
                }
                Decision::Rollback => {
                    let undone = scene.judge.came_to_nothing(half.deal);
                    assert!(undone.is_ok(), "nobody has asked for it");
                    scene.partitions.undone(number);
                }
            }
        }
        half.decision
    }

    /// Says what becomes of one.
    pub fn decide(&mut self, scene: &mut Scene<'_>) {
        let ready = self.ready();
        if let Some(number) = scene.pick(&ready) {
            self.say_what_becomes_of(number, scene);
        }
    }

    /// Says again, over a new connection, what was not answered.
    pub fn decide_again(&mut self, scene: &mut Scene<'_>) {
        for number in self.ready() {
            if self.halves[&number].decision.is_some() {
                self.say_what_becomes_of(number, scene);
            }
        }
    }

    /// Those of which nothing was said over this connection.
    fn ready(&self) -> Vec<u64> {
        let is_asked = |number: u64| {
            let mut asks = self.asks.values();
            asks.any(|ask| matches!(ask, Ask::Decide { number: of } if *of == number))
        };
        let halves = self.halves.iter();
        let ready = halves.filter(|(number, half)| half.place.is_some() && !is_asked(**number));
        ready.map(|(number, _)| *number).collect()
    }

    fn say_what_becomes_of(&mut self, number: u64, scene: &mut Scene<'_>) {
        let place = self.halves[&number].place;
        let decision = self.make_up_mind(number, scene);
        let (Some(place), Some(decision)) = (place, decision) else {
            return;
        };
        let fields = self.fields(number, place, decision);
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        let code = RequestCode::EndTransaction;
        self.ask(Ask::Decide { number }, code, &fields, &[], scene);
    }

    fn fields(
        &self,
        number: u64,
        (offset, name): (u64, u64),
        decision: Decision,
    ) -> Vec<(&'static str, String)> {
        vec![
            ("producerGroup", self.producers()),
            ("tranStateTableOffset", offset.to_string()),
            ("commitLogOffset", name.to_string()),
            ("commitOrRollback", decision.word().into()),
            ("msgId", number.to_string()),
        ]
    }

    /// What was said of it holds.
    pub fn decided(&mut self, number: u64, scene: &mut Scene<'_>) -> Verdict {
        let Some(half) = self.halves.remove(&number) else {
            return Err(unexpected(WHO, number));
        };
        if half.decision == Some(Decision::Commit) {
            scene.counts.note("RocketMQ commit");
            scene.partitions.confirmed(number)?;
            scene.judge.happened(half.deal)?;
        }
        Ok(())
    }

    /// The broker asks what becomes of one.
    pub fn asked_back(&mut self, asked: &Answer, scene: &mut Scene<'_>) -> Verdict {
        scene.counts.note("RocketMQ asked back");
        let record = Records::new(&asked.body).next().and_then(Result::ok);
        let number = record.and_then(|record| number_of(record.body));
        let number = number.ok_or_else(|| unexpected(WHO, asked))?;
        let place = (
            asked.number("tranStateTableOffset")?,
            asked.number("commitLogOffset")?,
        );
        let Some(decision) = self.make_up_mind(number, scene) else {
            // It was decided, and the question was on its way.
            return Ok(());
        };
        let mut fields = self.fields(number, place, decision);
        fields.push(("fromTransactionCheck", "true".into()));
        let fields: Vec<(&str, &str)> = fields.iter().map(|(k, v)| (*k, v.as_str())).collect();
        self.tell(RequestCode::EndTransaction, &fields, scene);
        Ok(())
    }
}
