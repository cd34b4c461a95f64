//! What the three targets of the doors share: a client whose bytes come in pieces, then silence, then the end.

use broker::id::SessionId;
use gateway::door::Closing;

use crate::world::World;

/// Longer than every wait of a door that a connection alone can cause.
const SILENCE_MS: u64 = 130_000;

/// Sends the bytes in pieces, with a pause behind each piece while there are few, and lets the connection end.
pub fn converse(world: &mut World, session: SessionId, pieces: u8, bytes: &[u8]) {
    let piece = bytes.len() / 16 + usize::from(pieces) * 4 + 1;
    for piece in bytes.chunks(piece) {
        if matches!(world.closing(session), Some(Closing::Now)) {
            break;
        }
        world.send(session, piece);
        world.take(session);
        world.pass_time(1);
    }
    world.pass_time(SILENCE_MS);
    world.hang_up(session);
    world.pass_time(1);
}
