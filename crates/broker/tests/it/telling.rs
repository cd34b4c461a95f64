//! What came of the verbs, in words.

use std::fmt::Write as _;

use broker::event::{Answer, Delivery, Event, ReadOutcome};
use broker::id::ConsumerId;
use broker::record::{DeathReason, Record};
use broker::strand::InStrand;
use broker::topology::TopologyFact;

use super::stage::Stage;
use super::world::{Held, START};

impl Stage {
    /// What has happened since this was last asked, in words.
    pub fn take_lines(&mut self) -> String {
        let mut out = String::new();
        for event in std::mem::take(&mut self.world.events) {
            if let Some(line) = self.say(event) {
                writeln!(out, "{line}").expect("a string");
            }
        }
        for name in std::mem::take(&mut self.world.released) {
            writeln!(out, "released {name}").expect("a string");
        }
        out
    }

    fn say(&mut self, event: Event) -> Option<String> {
        match event {
            Event::Deliver(delivery) => Some(format!("deliver {}", self.handed_out(delivery))),
            Event::Got {
                delivery, ready, ..
            } => Some(match delivery {
                Some(delivery) => format!("got {} ready={ready}", self.handed_out(delivery)),
                None => format!("got nothing ready={ready}"),
            }),
            Event::Stored { token, at, .. } => {
                let what = &self.questions[&token];
                Some(match at {
                    Some((partition, position)) => {
                        format!("stored {what} at={}:{position}", partition.number)
                    }
                    None => format!("stored {what}"),
                })
            }
            Event::Ready { consumer, .. } => Some(format!("ready {}", self.name_of(consumer))),
            Event::BrowseEnded { consumer, .. } => {
                Some(format!("browse-ended {}", self.name_of(consumer)))
            }
            Event::Cancelled { consumer, .. } => {
                Some(format!("cancelled {}", self.name_of(consumer)))
            }
            Event::Read { token, result, .. } => {
                let outcome = match result.outcome {
                    ReadOutcome::Found => "found",
                    ReadOutcome::NoneWanted => "none-wanted",
                    ReadOutcome::AtEnd => "at-end",
                    ReadOutcome::PastEnd => "past-end",
                    ReadOutcome::BeforeFirst => "before-first",
                    ReadOutcome::Empty => "empty",
                };
                let what = &self.questions[&token];
                let mut line = format!("read {what} {outcome}");
                for (position, message) in result.messages {
                    let name = self.world.message_name(message);
                    write!(line, " {position}:{name}").expect("a string");
                }
                write!(line, " next={}", result.next).expect("a string");
                Some(line)
            }
            Event::Changed(fact) => match &*fact {
                TopologyFact::QueueSet { id, spec } => {
                    self.queues.insert(id.0, spec.name.to_string());
                    None
                }
                TopologyFact::QueueRemoved { id } => Some(format!("gone {}", self.queues[&id.0])),
                _ => None,
            },
            Event::Done { token, result, .. } => {
                let what = &self.questions[&token];
                match result {
                    Err(refusal) => Some(format!("refused {what}: {refusal}")),
                    Ok(Answer::Topology(_)) => None,
                    Ok(Answer::Done) if what.starts_with("consume") => None,
                    Ok(Answer::Done) => Some(format!("done {what}")),
                    Ok(Answer::Deleted { messages }) => Some(format!("deleted {messages}")),
                    Ok(Answer::Purged { messages }) => Some(format!("purged {messages}")),
                    Ok(Answer::Status(status)) => Some(format!(
                        "status ready={} unsettled={} consumers={}",
                        status.ready, status.unsettled, status.consumers
                    )),
                    Ok(Answer::Bounds(bounds)) => {
                        let earliest = bounds.earliest.map(|m| self.world.message_name(m));
                        let earliest = earliest.unwrap_or("none".into());
                        Some(format!(
                            "bounds first={} next={} earliest={earliest}",
                            bounds.first, bounds.next
                        ))
                    }
                    Ok(Answer::Offset(Some(offset))) => Some(format!("offset {offset}")),
                    Ok(Answer::Offset(None)) => Some("offset none".into()),
                    Ok(Answer::Message(message)) => {
                        Some(format!("message {}", self.world.message_name(message)))
                    }
                }
            }
        }
    }

    fn name_of(&self, consumer: ConsumerId) -> &str {
        &self.consumers[consumer.0 as usize - 1]
    }

    /// Notes where it stands, and tells what can be told.
    fn handed_out(&mut self, delivery: Delivery) -> String {
        let consumer = self.name_of(delivery.consumer).to_string();
        let name = self.world.message_name(delivery.message);
        let mut line = format!("{consumer} {name}");
        if delivery.redelivered {
            line.push_str(" redelivered");
        }
        if delivery.attempts > 0 {
            write!(line, " attempts={}", delivery.attempts).expect("a string");
        }
        if delivery.in_strand == InStrand::First {
            line.push_str(" first");
        }
        let body = self.world.bodies.any(delivery.message).expect("readable");
        let record = Record::decode(body).expect("written by us");
        for death in &record.envelope.deaths {
            let reason = match death.reason {
                DeathReason::Rejected => "rejected",
                DeathReason::Expired => "expired",
                DeathReason::Overflow => "overflow",
                DeathReason::AttemptsExhausted => "attempts",
            };
            let after = death.time.since(START);
            write!(
                line,
                " died={}:{reason}:{}@{after}ms",
                death.queue, death.count
            )
            .expect("a string");
            // Where it had been sent, where that says more than the line that sent it.
            if death.last_address != death.address || death.keys.len() > 1 {
                let (address, keys, last) = (&death.address, &death.keys, &death.last_address);
                write!(line, ":from={address}/{}:last={last}", keys.join(",")).expect("a string");
            }
            if let Some(cause) = &death.cause {
                write!(line, ":{cause}").expect("a string");
            }
        }
        if record.envelope.attempts > 0 {
            write!(line, " earlier={}", record.envelope.attempts).expect("a string");
        }
        let Delivery {
            session,
            queue,
            position,
            ..
        } = delivery;
        let held = Held {
            session,
            queue,
            position,
        };
        self.held.insert((consumer, name), held);
        line
    }
}
