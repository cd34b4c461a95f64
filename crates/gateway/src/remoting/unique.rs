//! A unique key while its message is on its way.

/// A unique key without an allocation, unless a client makes unusual ones.
#[derive(Debug)]
pub enum Unique {
    Short { bytes: [u8; 56], length: u8 },
    Long(Box<str>),
}

impl Unique {
    pub fn new(text: &str) -> Unique {
        let mut bytes = [0; 56];
        match bytes.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text.as_bytes());
                Unique::Short {
                    bytes,
                    length: text.len() as u8,
                }
            }
            None => Unique::Long(text.into()),
        }
    }

    pub fn as_str(&self) -> &str {
        match self {
            Unique::Short { bytes, length } => {
                let text = bytes.get(..usize::from(*length)).unwrap_or_default();
                std::str::from_utf8(text).unwrap_or_default()
            }
            Unique::Long(text) => text,
        }
    }
}
