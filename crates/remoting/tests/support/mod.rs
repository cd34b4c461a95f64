//! The golden values, by name.

use std::collections::BTreeMap;

pub fn golden() -> BTreeMap<&'static str, &'static str> {
    values(include_str!("../golden/java-5.3.3.txt"))
}

pub fn golden_4() -> BTreeMap<&'static str, &'static str> {
    values(include_str!("../golden/java-4.9.7.txt"))
}

fn values(text: &'static str) -> BTreeMap<&'static str, &'static str> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('\t'))
        .collect()
}

pub fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2), "{hex}");
    let digit = |byte: u8| char::from(byte).to_digit(16).expect("a hexadecimal digit") as u8;
    hex.as_bytes()
        .chunks_exact(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

pub fn golden_bytes(name: &str) -> Vec<u8> {
    bytes(golden()[name])
}
