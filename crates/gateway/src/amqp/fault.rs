//! What goes wrong, in the codes and words that RabbitMQ's clients read. One table for refusals of
//! the broker, one constructor for each of our own.

use std::borrow::Cow;

use amqp::ReplyCode;
use broker::refusal::{Field, Kind, Refusal};

/// The only virtual host.
pub(super) const VHOST: &str = "/";

/// An error for the peer. Its code tells whether it ends a channel or the connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub code: ReplyCode,
    /// The explanation, without the name of the code in front.
    pub text: Cow<'static, str>,
}

/// A queue as error texts call it.
pub(super) fn queue(name: &str) -> String {
    format!("queue '{name}' in vhost '{VHOST}'")
}

/// An exchange as error texts call it.
pub(super) fn exchange(name: &str) -> String {
    format!("exchange '{name}' in vhost '{VHOST}'")
}

impl Fault {
    pub fn new(code: ReplyCode, text: impl Into<Cow<'static, str>>) -> Fault {
        Fault {
            code,
            text: text.into(),
        }
    }

    pub fn precondition(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ReplyCode::PreconditionFailed, text)
    }

    pub fn refused(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ReplyCode::AccessRefused, text)
    }

    pub fn not_allowed(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ReplyCode::NotAllowed, text)
    }

    pub fn not_implemented(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ReplyCode::NotImplemented, text)
    }

    pub fn channel_error(text: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new(ReplyCode::ChannelError, text)
    }

    pub fn no_queue(name: &str) -> Fault {
        Fault::new(ReplyCode::NotFound, format!("no {}", queue(name)))
    }

    pub fn no_exchange(name: &str) -> Fault {
        Fault::new(ReplyCode::NotFound, format!("no {}", exchange(name)))
    }

    pub fn no_previous_queue() -> Fault {
        Fault::new(ReplyCode::NotFound, "no previously declared queue")
    }

    pub fn locked(name: &str) -> Fault {
        let text = format!(
            "cannot obtain exclusive access to locked {}. It could be originally declared on \
             another connection or the exclusive property value does not match that of the \
             original declaration.",
            queue(name)
        );
        Fault::new(ReplyCode::ResourceLocked, text)
    }

    pub fn exclusive_use(name: &str) -> Fault {
        Fault::refused(format!("{} in exclusive use", queue(name)))
    }

    pub fn default_exchange() -> Fault {
        Fault::refused("operation not permitted on the default exchange")
    }

    /// `what` is `queue` or `exchange`.
    pub fn reserved_prefix(what: &str, name: &str) -> Fault {
        Fault::refused(format!(
            "{what} name '{name}' contains reserved prefix 'amq.*'"
        ))
    }

    /// `thing` is [`queue`] or [`exchange`].
    pub fn invalid_argument(key: &str, thing: &str, detail: &str) -> Fault {
        Fault::precondition(format!("invalid arg '{key}' for {thing}: {detail}"))
    }

    /// Values with their quotes, as they are to be shown.
    pub fn inequivalent(key: &str, thing: &str, received: &str, current: &str) -> Fault {
        Fault::precondition(format!(
            "inequivalent arg '{key}' for {thing}: received {received} but current is {current}"
        ))
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        let in_words = refusal.to_string();
        match refusal {
            Refusal::NotFound {
                kind: Kind::Queue,
                name,
            } => Fault::no_queue(&name),
            Refusal::NotFound {
                kind: Kind::Address,
                name,
            } => Fault::no_exchange(&name),
            Refusal::NotFound {
                kind: Kind::Group,
                name: _,
            } => Fault::new(ReplyCode::NotFound, in_words),
            Refusal::Inequivalent {
                kind,
                name,
                field,
                received,
                current,
            } => {
                let thing = thing(kind, &name);
                let quoted = |value: &str| format!("'{value}'");
                Fault::inequivalent(
                    field_name(field),
                    &thing,
                    &quoted(&received),
                    &quoted(&current),
                )
            }
            Refusal::Locked { name } => Fault::locked(&name),
            Refusal::ExclusiveUse { name } => Fault::exclusive_use(&name),
            Refusal::InUse { kind, name } => {
                Fault::precondition(format!("{} in use", thing(kind, &name)))
            }
            Refusal::NotEmpty { name } => {
                Fault::precondition(format!("{} not empty", queue(&name)))
            }
            Refusal::Reserved { kind: _, name } if name.is_empty() => Fault::default_exchange(),
            Refusal::Reserved { kind, name } => Fault::refused(format!(
                "deletion of system {} not allowed",
                thing(kind, &name)
            )),
            Refusal::AddressTaken { .. }
            | Refusal::ArgumentsDiffer { .. }
            | Refusal::LimitReached { .. }
            | Refusal::DiskFull
            | Refusal::NoTransaction
            | Refusal::NoMessage => Fault::precondition(in_words),
        }
    }
}

fn thing(kind: Kind, name: &str) -> String {
    match kind {
        Kind::Queue => queue(name),
        Kind::Address => exchange(name),
        Kind::Group => format!("group '{name}'"),
    }
}

fn field_name(field: Field) -> &'static str {
    match field {
        Field::Router => "type",
        Field::Durable => "durable",
        Field::AutoDelete => "auto_delete",
        Field::Internal => "internal",
        Field::Exclusive => "exclusive",
        Field::Alternate => "alternate-exchange",
    }
}
