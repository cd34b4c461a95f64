//! What one peer can make us hold.

/// Without a WireFormatInfo a connection is given up after so long.
pub(super) const HANDSHAKE_MS: u64 = 30_000;
/// A peer that was refused hears why, and is closed after so long.
pub(super) const REFUSED_MS: u64 = 2_000;
/// Characters of a refused user's name in the answer.
pub(super) const NAME_SHOWN_MAX: usize = 128;
/// A pull that wants an answer at once gets it after so long where the broker has to search.
pub(super) const PULL_AT_ONCE_MS: u64 = 50;

/// Per connection.
pub(super) const SESSIONS_MAX: usize = 10_000;
pub(super) const CONSUMERS_MAX: usize = 10_000;
pub(super) const PRODUCERS_MAX: usize = 50_000;
pub(super) const TEMPORARIES_MAX: usize = 10_000;
pub(super) const TRANSACTIONS_MAX: usize = 1_024;
/// Messages of all open transactions of a connection, which are held in memory until commit.
pub(super) const TRANSACTION_BYTES_MAX: usize = 64 << 20;
/// Messages that wait for an alarm to end and whose senders wait for the answer, and those whose
/// senders do not; with more of either the socket is not read.
pub(super) const WITHHELD_AWAITED_BYTES_MAX: usize = 64 << 20;
pub(super) const WITHHELD_UNAWAITED_BYTES_MAX: usize = 256 << 10;
/// Acknowledgements and messages of one transaction.
pub(super) const TRANSACTION_STEPS_MAX: usize = 1_000_000;

/// Of the whole door: topics that newcomers are told of. One that is used later is as good, but no
/// advisory speaks of it.
pub(super) const TOPICS_MAX: usize = 10_000;

/// Of the whole door: messages that topics retain for retroactive consumers.
pub(super) const RETAINED_BYTES_MAX: usize = 16 << 20;

/// Of one retroactive subscription: messages that it recovers, held until they are stored again.
pub(super) const RECOVERED_BYTES_MAX: usize = 64 << 20;

/// Of one consumer: the largest window that Java clients ask for.
pub(super) const PREFETCH_MAX: u32 = 32_767;
/// Of one consumer: delivered and not acknowledged.
pub(super) const UNACKNOWLEDGED_MAX: u32 = 1_000_000;
/// Queues that one composite or wildcard consumer is attached to.
pub(super) const PARTS_MAX: usize = 4_096;
/// Parts of one composite destination.
pub(super) const COMPOSITE_MAX: usize = 256;
/// Messages that wait for a consumer of topics beyond its window; older ones are dropped. It is
/// the `pendingMessageLimitStrategy` of the configuration that ActiveMQ comes with.
pub(super) const PENDING_MAX: u64 = 1_000;
/// How often slow consumers are looked at.
pub(super) const SLOW_CHECK_MS: u64 = 1_000;
/// Messages that are dropped with one command.
pub(super) const DROPPED_AT_ONCE_MAX: u64 = 65_536;
/// Pulls of one consumer that wait.
pub(super) const PULLS_MAX: usize = 1_024;

/// Advisories that no client needs to work are left out for a peer that does not read.
pub(super) const ADVISORY_UNSENT_BYTES_MAX: usize = 1 << 20;
/// A peer that does not even read what it must know is closed.
pub(super) const UNSENT_BYTES_MAX: usize = 64 << 20;
