//! Salted password hashes: `sha256$<base64 salt>$<base64 hash>`, the hash being over the salt
//! and then the password.
//!
//! Caveat: one round of SHA-256, as RabbitMQ's own hashes are, so that whoever steals the data
//! directory can try passwords fast. The format's first word leaves room for a slow hash.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD as BASE64;
use sha2::{Digest, Sha256};

const SCHEME: &str = "sha256";
const SALT_BYTES: usize = 16;

/// Hashes a password with a fresh salt.
pub fn hash(password: &[u8]) -> Result<String, getrandom::Error> {
    let mut salt = [0; SALT_BYTES];
    getrandom::fill(&mut salt)?;
    Ok(format!(
        "{SCHEME}${}${}",
        BASE64.encode(salt),
        BASE64.encode(digest(&salt, password))
    ))
}

/// Whether the text is a hash that [`verify`] can check.
pub fn is_hash(text: &str) -> bool {
    parts(text).is_some()
}

/// Whether the password is the one that was hashed. Takes the same time wherever they differ.
pub fn verify(password: &[u8], hash: &str) -> bool {
    let Some((salt, expected)) = parts(hash) else {
        return false;
    };
    let found = digest(&salt, password);
    let difference = found
        .iter()
        .zip(expected)
        .fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(difference) == 0
}

fn digest(salt: &[u8], password: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(password)
        .finalize()
        .into()
}

fn parts(text: &str) -> Option<(Vec<u8>, [u8; 32])> {
    let mut parts = text.split('$');
    if parts.next()? != SCHEME {
        return None;
    }
    let salt = decode(parts.next()?)?;
    let hash = decode(parts.next()?)?.try_into().ok()?;
    parts.next().is_none().then_some((salt, hash))
}

/// Base64 with or without its padding: tools differ.
fn decode(text: &str) -> Option<Vec<u8>> {
    BASE64.decode(text.trim_end_matches('=')).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_passes() {
        let hashed = hash(b"guest").unwrap();
        assert!(is_hash(&hashed));
        assert!(verify(b"guest", &hashed));
        for wrong in [&b""[..], b"gues", b"guest ", b"Guest"] {
            assert!(!verify(wrong, &hashed));
        }
        assert_ne!(hashed, hash(b"guest").unwrap(), "salts differ");
    }

    #[test]
    fn a_known_hash_is_read_with_and_without_padding() {
        // printf 'saltsesame' | openssl dgst -sha256 -binary | base64
        let digest = BASE64.encode(digest(b"salt", b"sesame"));
        for text in [
            format!("sha256$c2FsdA${digest}"),
            format!("sha256$c2FsdA==${digest}="),
        ] {
            assert!(verify(b"sesame", &text), "{text}");
        }
    }

    #[test]
    fn what_is_no_hash_admits_nobody() {
        for text in [
            "",
            "guest",
            "sha256$$",
            "md5$c2FsdA$AAAA",
            "sha256$c2FsdA$AAAA",
            "a$b$c$d",
        ] {
            assert!(!is_hash(text) && !verify(b"", text), "{text}");
        }
    }
}
