//! Windows: who may be given how much more, and consumers that ask for each message.

use broker::event::Delivery;
use broker::pass::{Command as Ask, Credit, Mode};
use openwire::MessagePull;

use super::connection::{Awaited, Connection};
use super::consumer::{ConsumerKey, Pull};
use super::failure::Failure;
use super::limits::{PULL_AT_ONCE_MS, PULLS_MAX};
use super::{OpenwireDoor, Step};
use crate::door::Context;

impl OpenwireDoor {
    /// One message for a consumer without a window.
    pub(super) fn pull(
        &mut self,
        conn: &mut Connection,
        pull: &MessagePull,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        let id = pull
            .consumer_id
            .as_ref()
            .ok_or_else(|| Failure::jms("Consumer ID is null"))?;
        let key = (id.session_id, id.value);
        let session = conn.session;
        let Some(consumer) = conn.consumers.get_mut(&key) else {
            conn.respond(pull.base, cx);
            return Ok(Step::Taken);
        };
        // A consumer with a window is given messages anyway.
        if consumer.window.prefetch == 0 {
            if consumer.pulls.len() >= PULLS_MAX {
                return Err(Failure::limit("openwire-pulls", PULLS_MAX));
            }
            let direct = match &consumer.parts[..] {
                [part] if !consumer.shares && consumer.filter.is_none() => {
                    (part.mode == Mode::Lease).then_some((part.queue, part.attached))
                }
                _ => None,
            };
            let at_once = pull.timeout < 0 && !consumer.info.exclusive;
            match direct.filter(|_| at_once && consumer.pulls.is_empty()) {
                // The broker knows at once whether there is one.
                Some((queue, holder)) => {
                    let token = conn.barrier(Awaited::Pull, holder.0);
                    cx.pass.push(
                        session,
                        Ask::Get {
                            token,
                            queue,
                            holder,
                            mode: Mode::Lease,
                        },
                    );
                }
                None => {
                    let until = match pull.timeout {
                        0 => None,
                        timeout => {
                            let wait = u64::try_from(timeout).unwrap_or(PULL_AT_ONCE_MS);
                            Some(cx.now.plus(wait))
                        }
                    };
                    consumer.pulls.push_back(Pull { until });
                    if let Some(until) = until {
                        self.check_at(conn, until);
                    }
                    self.touch(conn, key);
                }
            }
        }
        conn.respond(pull.base, cx);
        Ok(Step::Taken)
    }

    /// The broker had one, or none.
    pub(super) fn pulled(
        &mut self,
        conn: &mut Connection,
        consumer: broker::id::ConsumerId,
        delivery: Option<&Delivery>,
        cx: &mut Context<'_>,
    ) {
        conn.barriers -= 1;
        cx.links.resume(conn.session);
        match (delivery, conn.attached.get(&consumer).copied()) {
            (Some(delivery), _) => self.deliver(conn, delivery, cx),
            (None, Some(key)) => self.dispatch_nothing(conn, key, cx),
            (None, None) => {}
        }
    }

    /// Pulls whose time is over are answered without a message.
    pub(super) fn expire_pulls(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        let now = cx.now;
        let is_over = |pull: &Pull| pull.until.is_some_and(|until| until <= now);
        let mut over: Vec<ConsumerKey> = Vec::new();
        for (key, consumer) in &mut conn.consumers {
            let before = consumer.pulls.len();
            consumer.pulls.retain(|pull| !is_over(pull));
            over.extend(std::iter::repeat_n(*key, before - consumer.pulls.len()));
        }
        for key in over {
            self.dispatch_nothing(conn, key, cx);
            conn.touch(key);
        }
        self.note_touched(conn);
    }

    /// The earliest end of a pull.
    pub(super) fn next_pull_end(conn: &Connection) -> Option<broker::id::Millis> {
        conn.consumers
            .values()
            .filter(|consumer| consumer.window.prefetch == 0)
            .flat_map(|consumer| &consumer.pulls)
            .filter_map(|pull| pull.until)
            .min()
    }

    /// Brings the broker's credit up to each window; once per pass.
    pub(super) fn grant(&mut self, conn: &mut Connection, cx: &mut Context<'_>) {
        for key in std::mem::take(&mut conn.touched) {
            let Some(consumer) = conn.consumers.get_mut(&key) else {
                continue;
            };
            consumer.touched = false;
            let room = consumer.room();
            if consumer.shares {
                let ready = consumer.parts.iter().filter(|part| part.is_ready).count() as u32;
                if room == 0 || ready == 0 {
                    continue;
                }
                let each = (room / ready).max(1);
                let mut left = room;
                for part in consumer.parts.iter_mut().filter(|part| part.is_ready) {
                    let count = each.min(left);
                    if count == 0 {
                        break;
                    }
                    left -= count;
                    part.is_ready = false;
                    cx.pass.push(
                        conn.session,
                        Ask::Fetch {
                            consumer: part.attached,
                            count,
                        },
                    );
                }
                continue;
            }
            for part in &mut consumer.parts {
                let credit = if room >= part.credit {
                    Credit::Add(room - part.credit)
                } else {
                    Credit::Set(room)
                };
                if credit != Credit::Add(0) {
                    part.credit = room;
                    cx.pass.push(
                        conn.session,
                        Ask::Credit {
                            consumer: part.attached,
                            credit,
                        },
                    );
                }
            }
        }
    }
}
