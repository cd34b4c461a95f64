//! Everything that can stand in a frame, and everything that can stand in a field of any type.

use crate::commands::*;
use crate::ids::*;
use crate::schema::{BaseCommand, Structure, choice};

choice! {
    /// A structure that stands in a frame of its own.
    pub enum Command<'a> {
        Message(Message<'a>),
        MessageAck(MessageAck),
        MessageDispatch(MessageDispatch<'a>),
        Response(Response),
        MessagePull(MessagePull),
        TransactionInfo(TransactionInfo),
        ProducerAck(ProducerAck),
        KeepAliveInfo(KeepAliveInfo),
        ProducerInfo(ProducerInfo),
        ConsumerInfo(ConsumerInfo),
        RemoveInfo(RemoveInfo),
        SessionInfo(SessionInfo),
        ConnectionInfo(ConnectionInfo),
        DestinationInfo(DestinationInfo),
        RemoveSubscriptionInfo(RemoveSubscriptionInfo),
        WireFormatInfo(WireFormatInfo),
        BrokerInfo(BrokerInfo),
        ShutdownInfo(ShutdownInfo),
        ConsumerControl(ConsumerControl),
        ConnectionControl(ConnectionControl),
        ConnectionError(ConnectionError),
        ExceptionResponse(ExceptionResponse),
        DataResponse(DataResponse<'a>),
        DataArrayResponse(DataArrayResponse<'a>),
        IntegerResponse(IntegerResponse),
        ControlCommand(ControlCommand),
        FlushCommand(FlushCommand),
        BrokerSubscriptionInfo(BrokerSubscriptionInfo),
        MessageDispatchNotification(MessageDispatchNotification),
        ReplayCommand(ReplayCommand),
        PartialCommand(PartialCommand),
    }
}

impl Command<'_> {
    /// The OpenWire type code.
    pub fn type_code(&self) -> u8 {
        self.code()
    }

    /// Command id and whether a response is required; WireFormatInfo has neither.
    pub fn base_command(&self) -> Option<BaseCommand> {
        self.base().copied()
    }
}

choice! {
    /// A structure in a field that may hold any: what an advisory is about, what a response carries.
    pub enum AnyStructure<'a> {
        Command(Command<'a>),
        Identity(Identity),
        MessageId(MessageId),
        SubscriptionInfo(SubscriptionInfo),
        NetworkBridgeFilter(NetworkBridgeFilter),
        DiscoveryEvent(DiscoveryEvent),
        JournalTopicAck(JournalTopicAck),
        JournalQueueAck(JournalQueueAck),
        JournalTrace(JournalTrace),
        JournalTransaction(JournalTransaction),
    }
}
