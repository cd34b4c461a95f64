//! Randomness for the doors, drawn from the system by the block.

const BLOCK_BYTES: usize = 512;

/// Gives 64 random bits at a time.
pub(crate) struct Entropy {
    block: [u8; BLOCK_BYTES],
    used: usize,
}

impl Entropy {
    /// Fails when the system has none to give, which is then known at start.
    pub fn new() -> Result<Entropy, getrandom::Error> {
        let mut entropy = Entropy {
            block: [0; BLOCK_BYTES],
            used: 0,
        };
        getrandom::fill(&mut entropy.block)?;
        Ok(entropy)
    }

    pub fn draw(&mut self) -> u64 {
        if self.used == BLOCK_BYTES {
            getrandom::fill(&mut self.block).expect("the system has given random bytes before");
            self.used = 0;
        }
        let mut word = [0; 8];
        word.copy_from_slice(&self.block[self.used..self.used + 8]);
        self.used += 8;
        u64::from_le_bytes(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_each_other() {
        let mut entropy = Entropy::new().unwrap();
        let drawn: std::collections::HashSet<u64> = (0..1000).map(|_| entropy.draw()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
