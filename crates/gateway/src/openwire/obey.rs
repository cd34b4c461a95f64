//! Commands one by one: who may say which when, and what an answer of the broker sets free.

use broker::id::{ConsumerId as Attached, Token};
use broker::refusal::Refusal;
use openwire::{
    BaseCommand, Command, DestinationInfo, KeepAliveInfo, TransactionId, TransactionStep,
};

use super::connection::{Awaited, Connection, Phase};
use super::failure::{During, Failure};
use super::{OpenwireDoor, Step, durable};
use crate::door::{Closing, Context};

impl OpenwireDoor {
    /// Carries out one command.
    pub(super) fn obey(
        &mut self,
        conn: &mut Connection,
        command: Command<'_>,
        cx: &mut Context<'_>,
    ) -> Step {
        let base = command.base_command().unwrap_or_default();
        match self.attempt(conn, command, cx) {
            Ok(step) => step,
            Err((failure, transaction)) => {
                conn.removing = None;
                if !base.response_required {
                    conn.spoil(transaction.as_ref());
                }
                conn.fail(base, &failure, cx);
                if matches!(conn.phase, Phase::Connecting) {
                    self.turn_away(conn, cx);
                }
                Step::Taken
            }
        }
    }

    fn attempt(
        &mut self,
        conn: &mut Connection,
        command: Command<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, (Failure, Option<TransactionId>)> {
        let alone = |failure| (failure, None);
        let base = command.base_command().unwrap_or_default();
        match command {
            Command::WireFormatInfo(info) => {
                self.negotiated(conn, &info, cx);
                return Ok(Step::Taken);
            }
            Command::KeepAliveInfo(_) => {
                if base.response_required {
                    conn.send(&Command::KeepAliveInfo(KeepAliveInfo::default()), cx);
                }
                return Ok(Step::Taken);
            }
            Command::ShutdownInfo(_) => {
                self.hang_up(conn, Closing::Sent, cx);
                return Ok(Step::Taken);
            }
            Command::ConnectionInfo(info) => {
                let known = matches!(conn.phase, Phase::Refused | Phase::Removed);
                if known {
                    return Err(alone(Failure::illegal_state("The connection is closed")));
                }
                return self.connect(conn, info, cx).map_err(alone);
            }
            // A bridge would wait for what we do not do.
            Command::BrokerInfo(info)
                if info.network_connection || info.duplex_connection || info.slave_broker =>
            {
                return Err(alone(Failure::networks()));
            }
            // What a peer may say and the original does not act upon either. A ControlCommand
            // could once stop brokers; it never will again.
            Command::ConnectionControl(_)
            | Command::BrokerInfo(_)
            | Command::FlushCommand(_)
            | Command::ControlCommand(_)
            | Command::ProducerAck(_)
            | Command::MessageDispatch(_)
            | Command::MessageDispatchNotification(_)
            | Command::ConnectionError(_)
            | Command::Response(_)
            | Command::ExceptionResponse(_)
            | Command::DataResponse(_)
            | Command::DataArrayResponse(_)
            | Command::IntegerResponse(_)
            | Command::ReplayCommand(_)
            | Command::PartialCommand(_) => {
                conn.respond(base, cx);
                return Ok(Step::Taken);
            }
            Command::Message(_)
            | Command::MessageAck(_)
            | Command::MessagePull(_)
            | Command::TransactionInfo(_)
            | Command::ProducerInfo(_)
            | Command::ConsumerInfo(_)
            | Command::RemoveInfo(_)
            | Command::SessionInfo(_)
            | Command::DestinationInfo(_)
            | Command::RemoveSubscriptionInfo(_)
            | Command::ConsumerControl(_)
            | Command::BrokerSubscriptionInfo(_) => {}
        }
        match conn.phase {
            Phase::Open => {}
            Phase::Negotiating | Phase::Connecting | Phase::Refused | Phase::Removed => {
                return Err(alone(Failure::illegal_state(
                    "The connection is not registered",
                )));
            }
        }
        let refused = conn.refused.take();
        match command {
            Command::Message(mut message) => {
                let transaction = message.transaction_id.clone();
                let sent = match refused {
                    Some(refusal) => Err(Failure::of(&refusal, During::Other)),
                    // What a transaction sends is held anyway; its commit waits instead.
                    None if transaction.is_none() && self.withholds(conn) => {
                        self.withhold(conn, &message, cx)
                    }
                    None => self.send(conn, &mut message, cx),
                };
                sent.map_err(|failure| (failure, transaction))
            }
            Command::MessageAck(ack) => self
                .acknowledge(conn, &ack, cx)
                .map_err(|failure| (failure, ack.transaction_id.clone())),
            command => {
                let failed = refused.map(|refusal| refused_during(conn, &command, &refusal));
                match failed {
                    Some(failure) => Err(alone(failure)),
                    None if self.withhold_behind(conn, &command) => Ok(Step::Taken),
                    None => self.manage(conn, command, cx).map_err(alone),
                }
            }
        }
    }

    /// What is not on the way of a message.
    fn manage(
        &mut self,
        conn: &mut Connection,
        command: Command<'_>,
        cx: &mut Context<'_>,
    ) -> Result<Step, Failure> {
        match command {
            Command::MessagePull(pull) => self.pull(conn, &pull, cx),
            Command::TransactionInfo(info) => self.transact(conn, &info, cx),
            Command::ProducerInfo(info) => self.open_producer(conn, info, cx),
            Command::ConsumerInfo(info) => self.open_consumer(conn, info, cx),
            Command::RemoveInfo(info) => self.remove(conn, &info, cx),
            Command::SessionInfo(info) => self.open_session(conn, &info, cx),
            Command::DestinationInfo(info) => self.manage_destination(conn, &info, cx),
            Command::RemoveSubscriptionInfo(info) => self.remove_subscription(conn, &info, cx),
            Command::ConsumerControl(control) => self.control_consumer(conn, &control, cx),
            _ => Err(Failure::networks()),
        }
    }

    /// The answer to something that was asked for.
    pub(super) fn answered(
        &mut self,
        conn: &mut Connection,
        token: Token,
        result: Result<(), Refusal>,
        cx: &mut Context<'_>,
    ) {
        let (awaited, number) = Awaited::of(token);
        match awaited {
            Awaited::Nothing => {}
            Awaited::Response => {
                let base = BaseCommand::request((number as u32).cast_signed());
                match result {
                    Ok(()) => conn.respond(base, cx),
                    Err(refusal) => conn.fail(base, &Failure::of(&refusal, During::Other), cx),
                }
            }
            Awaited::Again | Awaited::Onward => {
                if awaited == Awaited::Again
                    && let Err(refusal) = result
                {
                    conn.refused.get_or_insert(refusal);
                }
                conn.barriers = conn.barriers.saturating_sub(1);
                if conn.barriers == 0 {
                    self.release(conn, cx);
                    cx.links.resume(conn.session);
                }
            }
            Awaited::Attach => {
                self.attached(conn, Attached(number), result.err(), cx);
            }
            Awaited::Commit => {
                let result = result.map_err(|refusal| Failure::of(&refusal, During::Committing));
                self.committed(conn, number, result, cx);
            }
            Awaited::Pull => {
                // A queue that is gone has nothing.
                self.pulled(conn, Attached(number), None, cx);
            }
            Awaited::Returned => conn.returned(number, cx),
            // The queue has gone, and its consumer hears of it.
            Awaited::Waiting => {}
        }
    }
}

/// Words for a refusal that came while a command waited.
fn refused_during(conn: &Connection, command: &Command<'_>, refusal: &Refusal) -> Failure {
    match command {
        Command::ConsumerInfo(info) => {
            let client = conn.client_id().map(|id| id.to_str()).unwrap_or_default();
            match &info.subscription_name {
                Some(name) => {
                    let name = name.to_str();
                    Failure::of(
                        refusal,
                        During::Subscribing {
                            client: &client,
                            name: &name,
                        },
                    )
                }
                None => Failure::of(refusal, During::Other),
            }
        }
        Command::DestinationInfo(info) if info.operation_type == DestinationInfo::REMOVE => {
            let destination = info.destination.as_ref().map(ToString::to_string);
            let destination = destination.unwrap_or_default();
            Failure::of(
                refusal,
                During::Removing {
                    destination: &destination,
                },
            )
        }
        Command::RemoveSubscriptionInfo(_) => durable::unsubscribing(refusal),
        Command::TransactionInfo(info)
            if TransactionStep::from_wire(info.step) != Some(TransactionStep::Begin) =>
        {
            Failure::of(refusal, During::Committing)
        }
        _ => Failure::of(refusal, During::Other),
    }
}
