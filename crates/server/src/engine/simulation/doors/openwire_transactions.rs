//! Local transactions of a client of OpenWire: one at a time, with a producer and consumers of its
//! own.

use openwire::{
    AckType, Command, LocalTransactionId, Message, MessageAck, TransactionId, TransactionInfo,
    TransactionStep,
};

use super::client::Scene;
use super::judge::Key;
use super::message::{Queue, Target};
use super::openwire::{Ask, Mode, Talk, Transaction};
use super::openwire_acts::Producer;

impl Talk {
    fn is_committing(&self) -> bool {
        self.asks.values().any(|ask| matches!(ask, Ask::Commit(_)))
    }

    pub fn transact(&mut self, scene: &mut Scene<'_>) {
        if self.is_committing() {
            return;
        }
        let Some(transaction) = self.transaction else {
            return self.begin(scene);
        };
        match scene.dice.below(10) {
            0..3 => self.send_in(transaction, scene),
            3..6 => self.acknowledge_in(transaction, scene),
            6 => self.roll_back(transaction, scene),
            _ => self.commit(transaction, scene),
        }
    }

    fn transaction_id(&self, transaction: Transaction) -> Option<TransactionId> {
        Some(TransactionId::Local(LocalTransactionId {
            value: transaction.number,
            connection_id: Some(self.connection_id()),
        }))
    }

    fn step(&mut self, ask: Ask, of: Transaction, step: TransactionStep, scene: &mut Scene<'_>) {
        let info = TransactionInfo {
            connection_id: Some(self.connection_id()),
            transaction_id: self.transaction_id(of),
            step: step.to_wire(),
            ..TransactionInfo::default()
        };
        self.ask(ask, scene, |base| {
            Command::TransactionInfo(TransactionInfo { base, ..info })
        });
    }

    fn begin(&mut self, scene: &mut Scene<'_>) {
        self.next_transaction += 1;
        let transaction = Transaction {
            number: self.next_transaction,
            deal: scene.judge.open_deal(),
            sender: scene.judge.sender(),
        };
        self.transaction = Some(transaction);
        self.step(Ask::Begin, transaction, TransactionStep::Begin, scene);
    }

    fn send_in(&mut self, transaction: Transaction, scene: &mut Scene<'_>) {
        let queues = [Queue::Orders, Queue::Invoices, Queue::Jobs, Queue::Parcels];
        for _ in 0..1 + scene.dice.below(3) {
            let Some(queue) = scene.pick(&queues) else {
                return;
            };
            let number = scene.judge.number();
            let key = (queue, number);
            scene.judge.sent(key, transaction.sender, true);
            scene.judge.brings(transaction.deal, key);
            self.sequences[1] += 1;
            let sequence = self.sequences[1];
            let mut message =
                self.message(number, Target::Queue(queue), Producer::Transacted, sequence);
            message.transaction_id = self.transaction_id(transaction);
            self.tell(scene, |base| Command::Message(Message { base, ..message }));
        }
    }

    fn acknowledge_in(&mut self, transaction: Transaction, scene: &mut Scene<'_>) {
        let holding = self.holding(|consumer| consumer.mode == Mode::Transacted);
        let Some(value) = scene.pick(&holding) else {
            return;
        };
        let given = &self.consumers[&value].given;
        let first = given.iter().position(|given| !given.enlisted);
        let first = first.expect("it holds something");
        let more = scene.dice.below((given.len() - first) as u64) as usize;
        let places = first..first + more + 1;
        let mut ack = self.ack(value, &places, AckType::Standard);
        ack.transaction_id = self.transaction_id(transaction);
        let consumer = self.consumers.get_mut(&value).expect("it is open");
        for given in consumer.given.range_mut(places) {
            given.enlisted = true;
        }
        self.tell(scene, |base| {
            Command::MessageAck(MessageAck { base, ..ack })
        });
    }

    fn commit(&mut self, transaction: Transaction, scene: &mut Scene<'_>) {
        let all = self.consumers.values().flat_map(|consumer| &consumer.given);
        let enlisted = all.filter(|given| given.enlisted);
        let takes: Vec<Key> = enlisted.map(|given| given.got.key).collect();
        let holder = self.holder.expect("it is connected");
        scene.judge.ask_for(transaction.deal, takes, holder);
        let step = TransactionStep::CommitOnePhase;
        self.step(Ask::Commit(transaction.deal), transaction, step, scene);
        // From now on what becomes of it is not the client's to say.
        self.transaction = None;
    }

    fn roll_back(&mut self, transaction: Transaction, scene: &mut Scene<'_>) {
        scene.counts.note("OpenWire rollback");
        let undone = scene.judge.came_to_nothing(transaction.deal);
        assert!(undone.is_ok(), "nobody has asked for it");
        for consumer in self.consumers.values_mut() {
            consumer
                .given
                .iter_mut()
                .for_each(|given| given.enlisted = false);
        }
        self.transaction = None;
        self.step(Ask::Rollback, transaction, TransactionStep::Rollback, scene);
    }
}
