//! Credentials as the two mechanisms of this door write them.

use amqp::TableRef;

/// The mechanisms that are served, as connection.start lists them.
pub(super) const MECHANISMS: &[u8] = b"PLAIN AMQPLAIN";

/// Who claims to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Credentials<'a> {
    pub name: &'a str,
    pub password: &'a [u8],
}

/// Why a response is no credentials. Neither is told to the peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum NoCredentials {
    UnknownMechanism,
    Malformed,
}

/// Reads the response of start-ok. Anything but UTF-8 is nobody's name.
pub(super) fn credentials<'a>(
    mechanism: &str,
    response: &'a [u8],
) -> Result<Credentials<'a>, NoCredentials> {
    let found = match mechanism {
        "PLAIN" => plain(response),
        "AMQPLAIN" => amqplain(response),
        _ => return Err(NoCredentials::UnknownMechanism),
    };
    found.ok_or(NoCredentials::Malformed)
}

/// `\0user\0password`; somebody else's identity in front is not supported.
fn plain(response: &[u8]) -> Option<Credentials<'_>> {
    let rest = response.strip_prefix(b"\0")?;
    let end = rest.iter().position(|octet| *octet == 0)?;
    let (name, password) = rest.split_at_checked(end)?;
    let password = password.strip_prefix(b"\0")?;
    if password.contains(&0) {
        return None;
    }
    Some(Credentials {
        name: str::from_utf8(name).ok()?,
        password,
    })
}

/// A field table without its length.
fn amqplain(response: &[u8]) -> Option<Credentials<'_>> {
    let table = TableRef::parse(response).ok()?;
    let text = |key| table.find(key)?.as_long_string();
    Some(Credentials {
        name: str::from_utf8(text("LOGIN")?).ok()?,
        password: text("PASSWORD")?,
    })
}

#[cfg(test)]
mod tests {
    use amqp::Table;

    use super::*;

    #[test]
    fn responses_are_read_or_refused() {
        let guest = Credentials {
            name: "guest",
            password: b"secret",
        };
        let table = Table::new()
            .with("LOGIN", "guest")
            .with("PASSWORD", "secret")
            .to_bytes();
        for (mechanism, response, expected) in [
            ("PLAIN", &b"\0guest\0secret"[..], Ok(guest)),
            (
                "PLAIN",
                b"\0guest\0",
                Ok(Credentials {
                    password: b"",
                    ..guest
                }),
            ),
            (
                "PLAIN",
                b"other\0guest\0secret",
                Err(NoCredentials::Malformed),
            ),
            ("PLAIN", b"\0guest", Err(NoCredentials::Malformed)),
            ("PLAIN", b"", Err(NoCredentials::Malformed)),
            ("PLAIN", b"\0\xff\0secret", Err(NoCredentials::Malformed)),
            ("AMQPLAIN", &table, Ok(guest)),
            ("AMQPLAIN", b"\x05LOGIN", Err(NoCredentials::Malformed)),
            ("AMQPLAIN", b"", Err(NoCredentials::Malformed)),
            ("CRAM-MD5", b"", Err(NoCredentials::UnknownMechanism)),
        ] {
            assert_eq!(
                credentials(mechanism, response),
                expected,
                "{mechanism} {response:?}"
            );
        }
    }
}
