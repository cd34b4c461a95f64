//! The promises of a channel in confirm mode: numbers from 1, answered as their messages are
//! stored, as few acks as possible.

use std::collections::VecDeque;

use amqp::{ChannelNumber, DeliveryTag, Method, encode};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    Waits,
    Kept,
    Refused,
    /// Answered out of order.
    Told,
}

/// Collected over a pass, written when it ends.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// The number before the first of `promises`.
    told: u64,
    promises: VecDeque<Promise>,
    /// Decided since the last writing, in no order.
    fresh: Vec<u64>,
}

impl Confirms {
    /// The number of the next publish, which waits until it is decided.
    pub fn promise(&mut self) -> u64 {
        self.promises.push_back(Promise::Waits);
        self.told + self.promises.len() as u64
    }

    /// The message is where it should be, or nowhere by right.
    pub fn keep(&mut self, number: u64) {
        self.decide(number, Promise::Kept);
    }

    /// The message is not taken.
    pub fn refuse(&mut self, number: u64) {
        self.decide(number, Promise::Refused);
    }

    /// The number that has these low bits.
    pub fn widen(&self, low: u32) -> u64 {
        let first = self.told + 1;
        first + u64::from(low.wrapping_sub(first as u32))
    }

    fn decide(&mut self, number: u64, decision: Promise) {
        let promise = number
            .checked_sub(self.told + 1)
            .and_then(|at| self.promises.get_mut(at as usize));
        if let Some(promise @ Promise::Waits) = promise {
            *promise = decision;
            self.fresh.push(number);
        }
    }

    pub fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Writes what was decided: the run at the front with one ack per stretch, the others singly.
    pub fn write(&mut self, channel: ChannelNumber, out: &mut Vec<u8>) {
        let mut run = Run::default();
        while let Some(promise) = self.promises.front().copied() {
            match promise {
                Promise::Waits => break,
                Promise::Told => {}
                Promise::Kept => run.add(self.told + 1),
                Promise::Refused => {
                    run.write(channel, out);
                    nack(channel, self.told + 1, out);
                }
            }
            self.promises.pop_front();
            self.told += 1;
        }
        run.write(channel, out);
        for number in self.fresh.drain(..) {
            let behind = number.checked_sub(self.told + 1);
            let Some(promise) = behind.and_then(|at| self.promises.get_mut(at as usize)) else {
                continue;
            };
            match std::mem::replace(promise, Promise::Told) {
                Promise::Kept => encode::ack_one(out, channel, DeliveryTag(number)),
                Promise::Refused => nack(channel, number, out),
                Promise::Waits | Promise::Told => unreachable!("only decided numbers are fresh"),
            }
        }
    }
}

/// Kept promises without a gap that matters.
#[derive(Default)]
struct Run {
    count: u64,
    last: u64,
}

impl Run {
    fn add(&mut self, number: u64) {
        self.count += 1;
        self.last = number;
    }

    fn write(&mut self, channel: ChannelNumber, out: &mut Vec<u8>) {
        match self.count {
            0 => {}
            1 => encode::ack_one(out, channel, DeliveryTag(self.last)),
            _ => encode::ack_up_to(out, channel, DeliveryTag(self.last)),
        }
        self.count = 0;
    }
}

fn nack(channel: ChannelNumber, number: u64, out: &mut Vec<u8>) {
    let method = Method::BasicNack {
        delivery_tag: DeliveryTag(number),
        multiple: false,
        requeue: false,
    };
    encode::method(out, channel, &method);
}

#[cfg(test)]
mod tests {
    use amqp::frame::{Frame, FrameMax, Split};

    use super::*;

    fn written(confirms: &mut Confirms) -> Vec<String> {
        let mut out = Vec::new();
        confirms.write(ChannelNumber(1), &mut out);
        let mut rest = &out[..];
        let mut words = Vec::new();
        while let Ok(Split::Whole { frame, consumed }) = Frame::split(rest, FrameMax::DEFAULT) {
            words.push(match Method::decode(frame.payload).unwrap() {
                Method::BasicAck {
                    delivery_tag,
                    multiple: true,
                } => format!("<={}", delivery_tag.0),
                Method::BasicAck {
                    delivery_tag,
                    multiple: false,
                } => format!("{}", delivery_tag.0),
                Method::BasicNack {
                    delivery_tag,
                    multiple: false,
                    ..
                } => {
                    format!("not {}", delivery_tag.0)
                }
                other => panic!("{other:?}"),
            });
            rest = &rest[consumed..];
        }
        words
    }

    #[test]
    fn few_acks_and_each_number_once() {
        let mut confirms = Confirms::default();
        let numbers: Vec<_> = (0..9).map(|_| confirms.promise()).collect();
        assert_eq!(numbers, (1..10).collect::<Vec<_>>());
        assert!(written(&mut confirms).is_empty());
        for number in [3, 1, 2, 5] {
            confirms.keep(number);
            confirms.keep(number);
        }
        assert_eq!(written(&mut confirms), ["<=3", "5"]);
        for number in [4, 6, 8] {
            confirms.keep(number);
        }
        confirms.refuse(7);
        assert_eq!(written(&mut confirms), ["<=6", "not 7", "8"]);
        confirms.keep(7);
        confirms.refuse(9);
        assert_eq!(written(&mut confirms), ["not 9"]);
        assert_eq!(confirms.promise(), 10);
        assert_eq!(confirms.widen(10), 10);
        confirms.keep(10);
        assert_eq!(written(&mut confirms), ["10"]);
    }

    #[test]
    fn low_bits_are_widened_beyond_their_wrap() {
        let mut confirms = Confirms {
            told: (1 << 32) - 2,
            ..Confirms::default()
        };
        let numbers = [confirms.promise(), confirms.promise(), confirms.promise()];
        assert_eq!(numbers.map(|number| confirms.widen(number as u32)), numbers);
    }
}
