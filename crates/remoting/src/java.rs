//! Where the wire shows that its other end is written in Java.

/// `String.hashCode`: over UTF-16 units, wrapping. A tag's hash code is this.
pub fn java_string_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    if text.is_ascii() {
        return text
            .bytes()
            .fold(0, |hash, byte| step(hash, u16::from(byte)));
    }
    text.encode_utf16().fold(0, step)
}

/// What a consume queue entry holds for a tag: the hash, sign-extended; 0 means no tag.
pub fn tag_code(tag: Option<&str>) -> i64 {
    tag.map_or(0, |tag| i64::from(java_string_hash(tag)))
}

/// `Boolean.parseBoolean`: anything that is not "true" in some case is false.
pub fn parse_boolean(text: &str) -> bool {
    text.eq_ignore_ascii_case("true")
}

/// Appends `Double.toString`: at least one decimal, scientific below 0.001 and from 10,000,000.
/// Not a number and the infinities become `null`, as fastjson writes them.
pub fn append_double(number: f64, out: &mut Vec<u8>) {
    use std::io::Write;

    // Writing into a vector cannot fail; the results are dropped for that reason.
    let size = number.abs();
    if !number.is_finite() {
        out.extend_from_slice(b"null");
    } else if size == 0.0 || (1e-3..1e7).contains(&size) {
        let _ = write!(out, "{number:?}");
    } else {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let dot = if mantissa.contains('.') { "" } else { ".0" };
        let _ = write!(out, "{mantissa}{dot}E{exponent}");
    }
}

/// The decimal text of an integer without an allocation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Decimal {
    digits: [u8; 20],
    start: usize,
}

impl Decimal {
    pub(crate) fn new(number: i64) -> Self {
        let mut digits = [b'0'; 20];
        let mut start = digits.len();
        let mut left = number.unsigned_abs();
        for slot in digits.iter_mut().rev() {
            *slot = b'0' + (left % 10) as u8;
            left /= 10;
            start -= 1;
            if left == 0 {
                break;
            }
        }
        // 19 digits are the most an i64 has, so a place for the sign is always left.
        if number < 0
            && let Some(slot) = start.checked_sub(1).and_then(|at| digits.get_mut(at))
        {
            *slot = b'-';
            start -= 1;
        }
        Self { digits, start }
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = self.digits.get(self.start..).unwrap_or_default();
        std::str::from_utf8(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn string_hash_agrees_with_java() {
        let cases = [
            ("", 0),
            ("TagA", 2_598_919),
            ("TagB", 2_598_920),
            ("\u{4e2d}\u{1f600}", 21_005_392),
            ("polygenelubricants", i32::MIN),
        ];
        for (text, hash) in cases {
            assert_eq!(java_string_hash(text), hash, "{text}");
        }
        assert_eq!(tag_code(None), 0);
        assert_eq!(tag_code(Some("polygenelubricants")), i64::from(i32::MIN));
    }

    #[test]
    fn doubles_read_as_in_java() {
        let cases = [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (1e7, "1.0E7"),
            (9_999_999.0, "9999999.0"),
            (1e-3, "0.001"),
            (9.9e-4, "9.9E-4"),
            (1e20, "1.0E20"),
            (1.25e-7, "1.25E-7"),
            (123_456.789, "123456.789"),
            (f64::NAN, "null"),
            (f64::NEG_INFINITY, "null"),
        ];
        for (number, text) in cases {
            let mut out = Vec::new();
            append_double(number, &mut out);
            assert_eq!(out, text.as_bytes(), "{text}");
        }
    }

    #[test]
    fn decimals_match_the_standard_library() {
        for number in [0, 1, -1, 9, 10, 1_700_000_000_000, i64::MAX, i64::MIN] {
            assert_eq!(Decimal::new(number).as_str(), number.to_string());
        }
    }
}
