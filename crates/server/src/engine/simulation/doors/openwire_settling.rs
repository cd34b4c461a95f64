//! What a client of OpenWire does with what it was given.

use std::ops::Range;

use openwire::{AckType, Command, MessageAck, Throwable};

use super::client::Scene;
use super::judge::Key;
use super::openwire::{Ask, Consumer, ConsumerPhase, Mode, Talk};
use super::openwire_acts::source;

impl Talk {
    /// A consumer that is open and holds something that is in no transaction.
    pub fn holding(&self, wanted: impl Fn(&Consumer) -> bool) -> Vec<i64> {
        let holds = |consumer: &Consumer| {
            consumer.phase == ConsumerPhase::Open
                && consumer.given.iter().any(|given| !given.enlisted)
                && wanted(consumer)
        };
        let all = self
            .consumers
            .iter()
            .filter(|(_, consumer)| holds(consumer));
        all.map(|(value, _)| *value).collect()
    }

    pub fn acknowledge(&mut self, scene: &mut Scene<'_>) {
        let holding = self.holding(|consumer| consumer.mode != Mode::Transacted);
        let Some(value) = scene.pick(&holding) else {
            return;
        };
        let count = self.consumers[&value].given.len() as u64;
        let at = scene.dice.below(count) as usize;
        let answered = !scene.once_in(4);
        match self.consumers[&value].mode {
            Mode::Single => self.settle(value, at..at + 1, answered, scene),
            Mode::Ranges | Mode::Transacted => self.settle(value, 0..at + 1, answered, scene),
        }
    }

    pub fn ack(&self, value: i64, places: &Range<usize>, kind: AckType) -> MessageAck {
        let consumer = &self.consumers[&value];
        let (first, last) = (
            &consumer.given[places.start],
            &consumer.given[places.end - 1],
        );
        MessageAck {
            destination: Some(source(consumer.queue)),
            consumer_id: Some(self.consumer_id(value)),
            ack_type: kind.to_wire(),
            first_message_id: Some(first.id.clone()),
            last_message_id: Some(last.id.clone()),
            message_count: places.len() as i32,
            ..MessageAck::default()
        }
    }

    fn settle(&mut self, value: i64, places: Range<usize>, answered: bool, scene: &mut Scene<'_>) {
        let kind = match self.consumers[&value].mode {
            Mode::Single => AckType::Individual,
            Mode::Ranges | Mode::Transacted => AckType::Standard,
        };
        let ack = self.ack(value, &places, kind);
        let holder = self.holder.expect("it is connected");
        let consumer = self.consumers.get_mut(&value).expect("it is open");
        let keys: Vec<Key> = consumer
            .given
            .drain(places)
            .map(|given| given.got.key)
            .collect();
        for key in &keys {
            scene.judge.ask_to_settle(*key, holder);
        }
        if answered {
            self.ask(Ask::Settle(keys), scene, |base| {
                Command::MessageAck(MessageAck { base, ..ack })
            });
        } else {
            self.tell(scene, |base| {
                Command::MessageAck(MessageAck { base, ..ack })
            });
            let command = self.commands;
            self.quiet
                .extend(keys.into_iter().map(|key| (command, key)));
        }
    }

    /// Gives a message up, which goes to the dead letters.
    pub fn poison(&mut self, scene: &mut Scene<'_>) {
        let holding = self.holding(|consumer| consumer.mode != Mode::Transacted);
        let Some(value) = scene.pick(&holding) else {
            return;
        };
        let key = self.consumers[&value].given[0].got.key;
        let grave = key.0.grave_of_poison();
        if grave.is_some_and(|grave| !scene.judge.can_be_buried(key, grave)) {
            return;
        }
        let mut ack = self.ack(value, &(0..1), AckType::Poison);
        ack.poison_cause = Some(Box::new(Throwable {
            class: Some("java.lang.Throwable".into()),
            message: Some("it does not taste".into()),
            ..Throwable::default()
        }));
        let holder = self.holder.expect("it is connected");
        let consumer = self.consumers.get_mut(&value).expect("it is open");
        consumer.given.pop_front();
        match grave {
            Some(grave) => scene.judge.ask_to_bury(key, grave, holder),
            None => scene.judge.ask_to_settle(key, holder),
        }
        scene.counts.note("OpenWire burial");
        self.ask(Ask::Settle(vec![key]), scene, |base| {
            Command::MessageAck(MessageAck { base, ..ack })
        });
    }

    pub fn settle_all(&mut self, scene: &mut Scene<'_>) -> bool {
        let holding = self.holding(|_| true);
        for value in &holding {
            let consumer = self.consumers.get_mut(value).expect("it is open");
            consumer.mode = Mode::Ranges;
            let all = 0..consumer.given.len();
            self.settle(*value, all, true, scene);
        }
        !holding.is_empty()
    }
}
