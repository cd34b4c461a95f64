//! What is collected over a pass and given on when it ends: settlements, credit, confirms.

use amqp::ChannelNumber;
use broker::id::{ConsumerId, Position, QueueId};
use broker::pass::{Command, Credit, Outcome, Positions};

use super::channel::{Channel, Settling};
use super::conversation::{Conversation, Turn};

impl Conversation {
    /// A delivery was acknowledged.
    pub fn collect_accept(&mut self, queue: QueueId, position: Position) {
        self.has_collected = true;
        // Nearly always the queue of the last one.
        match self
            .accepted
            .iter_mut()
            .rev()
            .find(|(known, _)| *known == queue)
        {
            Some((_, positions)) => positions.push(position),
            // One list per queue and pass: it becomes the command's own.
            None => self.accepted.push((queue, vec![position])),
        }
    }

    /// Gives on what was acknowledged; every command goes behind it.
    pub fn flush_accepted(&mut self, turn: &mut Turn<'_, '_>) {
        for (queue, positions) in self.accepted.drain(..) {
            let positions = Positions::Many(positions);
            turn.cx
                .settle(self.session, queue, positions, Outcome::Accept);
        }
    }

    /// A delivery of this consumer was settled.
    pub fn collect_credit(&mut self, id: ConsumerId) {
        let Some(consumer) = self.consumers.get_mut(&id) else {
            return;
        };
        let Settling::Manual {
            unsettled, regrant, ..
        } = &mut consumer.settling
        else {
            return;
        };
        *unsettled = unsettled.saturating_sub(1);
        if *regrant == 0 {
            self.regranted.push(id);
            self.has_collected = true;
        }
        *regrant += 1;
    }

    /// A delivery of some consumer, perhaps one that has gone, was settled on this channel.
    pub fn collect_room(&mut self, number: u16) {
        if let Some(Channel {
            window: Some(window),
            ..
        }) = self.channels.get_mut(&number)
        {
            window.unsettled = window.unsettled.saturating_sub(1);
            self.has_collected = true;
            if self.windows.last() != Some(&number) {
                self.windows.push(number);
            }
        }
    }

    /// A confirm of this channel can be written.
    pub fn collect_confirm(&mut self, channel: u16) {
        self.has_collected = true;
        if self.confirming.last() != Some(&channel) && !self.confirming.contains(&channel) {
            self.confirming.push(channel);
        }
    }

    /// The pass ends: writes confirms, gives settlements and credit.
    pub fn finish(&mut self, turn: &mut Turn<'_, '_>) {
        self.has_collected = false;
        self.flush_accepted(turn);
        for id in std::mem::take(&mut self.regranted) {
            let Some(consumer) = self.consumers.get_mut(&id) else {
                continue;
            };
            let Settling::Manual { regrant, .. } = &mut consumer.settling else {
                continue;
            };
            let settled = std::mem::take(regrant);
            let shared = self
                .channels
                .get(&consumer.channel)
                .is_some_and(|channel| channel.window.is_some());
            if settled > 0 && !shared {
                let credit = Credit::Add(settled);
                turn.cx.pass.push(
                    self.session,
                    Command::Credit {
                        consumer: id,
                        credit,
                    },
                );
            }
        }
        for number in std::mem::take(&mut self.windows) {
            self.fill_window(number, turn);
        }
        for number in std::mem::take(&mut self.confirming) {
            let channel = self.channels.get_mut(&number);
            let confirms = channel.and_then(|channel| channel.confirms.as_mut());
            if let Some(confirms) = confirms.filter(|confirms| confirms.has_fresh()) {
                self.sent = true;
                confirms.write(ChannelNumber(number), turn.cx.links.out(self.session));
            }
        }
    }
}
