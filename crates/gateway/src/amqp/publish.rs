//! The way of a message in. Nothing here allocates for a message with one key to a known place.

use std::borrow::Cow;
use std::sync::Arc;

use amqp::{BasicProperties, Content, Method, ReplyCode, TableRef, ValueRef, encode};
use broker::id::Millis;
use broker::pass::Publish;
use broker::record::{Copies, Envelope};
use broker::topology::Address;

use super::channel::Target;
use super::consuming::DIRECT_REPLY_TO;
use super::conversation::{Conversation, Turn};
use super::exchange::visible;
use super::fault::{self, Fault};
use super::settings::PERMISSION_KEPT_MS;
use super::view::View;
use super::waiting::Ticket;
use crate::access::{Action, Resource};
use crate::language::AMQP;
use crate::partition::{Order, tag_hash};

/// Ten years, in milliseconds.
const EXPIRATION_MS_MAX: u64 = 315_360_000_000;
/// Extra routing keys of one message, in `CC` and `BCC` together.
const EXTRA_KEYS_MAX: usize = 1024;

impl Conversation {
    pub fn publish(&mut self, content: &Content<'_>, turn: &mut Turn<'_, '_>) -> Result<(), Fault> {
        let Method::BasicPublish {
            exchange,
            routing_key: key,
            mandatory,
            immediate,
        } = content.method
        else {
            return Err(Fault::new(
                ReplyCode::CommandInvalid,
                "unimplemented method",
            ));
        };
        let number = content.channel.0;
        self.channel_mut(number)?;
        if immediate {
            return Err(Fault::not_implemented("immediate=true"));
        }
        let address = self.target(number, exchange, turn)?;
        let properties = content.properties.to_properties();
        self.check_properties(&properties)?;
        let expires = properties
            .expiration
            .map(|text| expiry(text, turn.cx.now))
            .transpose()?;
        let extra = properties.headers.map(ExtraKeys::of).transpose()?;
        let extra = extra.unwrap_or_default();
        let raw = match extra.without_hidden(&properties) {
            None => Cow::Borrowed(content.properties.as_bytes()),
            Some(stripped) => Cow::Owned(stripped),
        };
        let start = raw.len() as u32;
        let envelope = Envelope {
            persistent: properties.delivery_mode == Some(2),
            priority: properties.priority.unwrap_or(PRIORITY_DEFAULT),
            expires,
            copies: extra.copies,
            body: start..start + content.body.len() as u32,
            ..Envelope::new(AMQP, exchange, key, turn.cx.now)
        };
        let view = View::new(content.properties, &envelope);
        let (topology, routing) = (turn.cx.topology, &mut *turn.routing);
        let route = if envelope.copies.is_empty() {
            routing.cache.route(topology, &address, key, &view)
        } else {
            let keys = envelope.keys();
            routing.cache.route_keys(topology, &address, &keys, &view)
        };
        routing.destinations.clear();
        let mut hash = 0;
        if !route.partitioned.is_empty() {
            hash = tag_hash(key);
        }
        let order = match &*route.partitioned {
            [] => Order::Free,
            _ => ordering_key(properties.headers).map_or(Order::Free, Order::Key),
        };
        routing
            .chooser
            .place(&route, topology, None, order, &mut routing.destinations);
        if routing.destinations.is_empty() {
            self.unroutable(content, mandatory, turn);
            return Ok(());
        }
        let token = self.promise(number);
        self.published = true;
        let publish = Publish {
            token,
            envelope: &envelope,
            destinations: &turn.routing.destinations,
            tag_hash: hash,
            producer: None,
        };
        turn.cx
            .pass
            .publish(self.session, publish, &[&raw, content.body]);
        Ok(())
    }

    /// The exchange of a publish, if it may be published to. What was found for the last publish
    /// on the channel holds until the topology changes, and permission for a second.
    fn target(
        &mut self,
        number: u16,
        exchange: &str,
        turn: &Turn<'_, '_>,
    ) -> Result<Arc<Address>, Fault> {
        let (now, version) = (turn.cx.now, turn.cx.topology.version());
        if let Some(target) = &self.channel_mut(number)?.target
            && target.version == version
            && now < target.until
            && *target.exchange == *exchange
        {
            return Ok(Arc::clone(&target.address));
        }
        self.authorize(Action::Write, Resource::Address(exchange), turn)?;
        let missing = || Fault::no_exchange(exchange);
        visible(turn.cx.topology, exchange).ok_or_else(missing)?;
        let address = turn
            .cx
            .topology
            .address(exchange)
            .cloned()
            .ok_or_else(missing)?;
        if address.spec.internal {
            let thing = fault::exchange(exchange);
            return Err(Fault::refused(format!(
                "cannot publish to internal {thing}"
            )));
        }
        let until = now.plus(PERMISSION_KEPT_MS);
        let (exchange, found) = (exchange.into(), Arc::clone(&address));
        let target = Target {
            exchange,
            address: found,
            version,
            until,
        };
        self.channel_mut(number)?.target = Some(target);
        Ok(address)
    }

    fn check_properties(&self, properties: &BasicProperties<'_>) -> Result<(), Fault> {
        if properties.reply_to == Some(DIRECT_REPLY_TO.as_bytes()) {
            return Err(Fault::precondition("fast reply consumer does not exist"));
        }
        let (Some(claimed), Some(user)) = (properties.user_id, &self.user) else {
            return Ok(());
        };
        let may_impersonate = || user.tags.iter().any(|tag| &**tag == "impersonator");
        if claimed == user.name.as_bytes() || may_impersonate() {
            return Ok(());
        }
        Err(Fault::precondition(format!(
            "user_id property set to '{}' but authenticated user was '{}'",
            String::from_utf8_lossy(claimed),
            user.name
        )))
    }

    fn unroutable(&mut self, content: &Content<'_>, mandatory: bool, turn: &mut Turn<'_, '_>) {
        if let Method::BasicPublish {
            exchange,
            routing_key,
            ..
        } = content.method
            && mandatory
        {
            let code = ReplyCode::NoRoute;
            let returned = Method::BasicReturn {
                reply_code: code.code(),
                reply_text: code.name(),
                exchange,
                routing_key,
            };
            encode::content(
                turn.cx.links.out(self.session),
                content.channel,
                &returned,
                content.properties.as_bytes(),
                content.body,
                self.tuning.frame_max,
            );
            self.sent = true;
        }
        let number = content.channel.0;
        if let Some(confirms) = self
            .channels
            .get_mut(&number)
            .and_then(|c| c.confirms.as_mut())
        {
            let promised = confirms.promise();
            confirms.keep(promised);
            self.collect_confirm(number);
        }
    }

    /// The token of a publish that is to be confirmed.
    fn promise(&mut self, number: u16) -> Option<broker::id::Token> {
        let channel = self.channels.get_mut(&number)?;
        let promised = channel.confirms.as_mut()?.promise();
        Some(Ticket::publish(number, channel.life, promised))
    }

    /// A publish was answered.
    pub fn confirm(&mut self, number: u16, life: u16, low: u32, stored: bool) {
        let Some(channel) = self.channels.get_mut(&number) else {
            return;
        };
        if channel.life != life {
            return;
        }
        let Some(confirms) = channel.confirms.as_mut() else {
            return;
        };
        let promised = confirms.widen(low);
        if stored {
            confirms.keep(promised);
        } else {
            confirms.refuse(promised);
        }
        self.collect_confirm(number);
    }
}

/// What a message without the property counts as, as everywhere inside.
const PRIORITY_DEFAULT: u8 = 4;

/// When a message with this property expires.
fn expiry(text: &[u8], now: Millis) -> Result<Millis, Fault> {
    let refuse = |detail: &str| {
        let text = String::from_utf8_lossy(text);
        Err(Fault::precondition(format!(
            "invalid expiration '{text}': {detail}"
        )))
    };
    let (sign, digits) = match text {
        [b'-', digits @ ..] => ("-", digits),
        [b'+', digits @ ..] | digits => ("", digits),
    };
    let length = digits
        .iter()
        .take_while(|octet| octet.is_ascii_digit())
        .count();
    let (number, left) = digits.split_at(length);
    let number = str::from_utf8(number)
        .unwrap_or_default()
        .trim_start_matches('0');
    if length == 0 {
        return refuse("no_integer");
    }
    if !left.is_empty() {
        return refuse(&format!(
            "{{leftover_string,\"{}\"}}",
            String::from_utf8_lossy(left)
        ));
    }
    if sign == "-" && !number.is_empty() {
        return refuse(&format!("{{value_negative,-{number}}}"));
    }
    match number {
        "" => Ok(now),
        number => match number.parse() {
            Ok(ms) if ms <= EXPIRATION_MS_MAX => Ok(now.plus(ms)),
            Ok(_) | Err(_) => refuse(&format!("{{value_too_large,{number}}}")),
        },
    }
}

/// The extra routing keys of a message.
#[derive(Default)]
struct ExtraKeys<'a> {
    copies: Copies<'a>,
    has_hidden: bool,
}

impl<'a> ExtraKeys<'a> {
    /// Allocates only if there are such keys.
    fn of(headers: TableRef<'a>) -> Result<ExtraKeys<'a>, Fault> {
        let mut extra = ExtraKeys::default();
        for (name, value) in headers.entries() {
            let Copies { shown, hidden } = &mut extra.copies;
            let (header, keys) = match name {
                b"CC" => ("CC", shown),
                b"BCC" => {
                    extra.has_hidden = true;
                    ("BCC", hidden)
                }
                _ => continue,
            };
            let ValueRef::Array(array) = value else {
                return Err(Fault::precondition(format!(
                    "invalid message: {{unacceptable_type_in_header,\"{header}\",{}}}",
                    value.type_name()
                )));
            };
            let texts = array.values().filter_map(|value| value.as_long_string());
            keys.extend(texts.filter_map(|text| str::from_utf8(text).ok()));
            let Copies { shown, hidden } = &extra.copies;
            if shown.len() + hidden.len() > EXTRA_KEYS_MAX {
                let text = format!("a message has more than {EXTRA_KEYS_MAX} extra routing keys");
                return Err(Fault::precondition(text));
            }
        }
        Ok(extra)
    }

    /// The properties without `BCC`, which no consumer may see; `None` if there is none.
    fn without_hidden(&self, properties: &BasicProperties<'_>) -> Option<Vec<u8>> {
        if !self.has_hidden {
            return None;
        }
        let mut table = properties.headers?.to_table();
        table.remove("BCC");
        let bytes = table.to_bytes();
        let headers = TableRef::parse(&bytes).ok();
        BasicProperties {
            headers,
            ..*properties
        }
        .to_bytes()
        .ok()
    }
}

/// What a foreign sender's message is ordered by in a partition.
fn ordering_key(headers: Option<TableRef<'_>>) -> Option<&str> {
    let headers = headers?;
    let text = headers
        .find("__SHARDINGKEY")
        .or_else(|| headers.find("JMSXGroupID"))?;
    str::from_utf8(text.as_long_string()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expirations_are_whole_numbers_up_to_ten_years() {
        let now = Millis(1000);
        for (text, expected) in [
            ("0", Ok(1000)),
            ("60000", Ok(61_000)),
            ("315360000000", Ok(315_360_001_000)),
            ("", Err("no_integer")),
            ("z", Err("no_integer")),
            ("10x", Err("{leftover_string,\"x\"}")),
            ("1.5", Err("{leftover_string,\".5\"}")),
            ("-1", Err("{value_negative,-1}")),
            ("315360000001", Err("{value_too_large,315360000001}")),
            (
                "99999999999999999999",
                Err("{value_too_large,99999999999999999999}"),
            ),
        ] {
            let found = expiry(text.as_bytes(), now)
                .map(|at| at.0)
                .map_err(|fault| fault.text);
            let expected =
                expected.map_err(|detail| format!("invalid expiration '{text}': {detail}").into());
            assert_eq!(found, expected);
        }
    }
}
