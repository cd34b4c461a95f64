//! Names that the server gives.

/// 22 characters of base64url behind a prefix: 128 random bits.
pub(super) fn generated(prefix: &str, entropy: &mut dyn FnMut() -> u64) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const CHARACTERS: usize = 22;
    let mut bits = u128::from(entropy()) << 64 | u128::from(entropy());
    let mut name = String::with_capacity(prefix.len() + CHARACTERS);
    name.push_str(prefix);
    for _ in 0..CHARACTERS {
        name.push(char::from(ALPHABET[(bits & 63) as usize]));
        bits >>= 6;
    }
    name
}
