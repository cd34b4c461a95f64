use broker::properties::{Properties, Value};

use super::parse;

struct Table(&'static [(&'static str, Value<'static>)]);

impl Properties for Table {
    fn property(&self, name: &str) -> Option<Value<'_>> {
        self.0
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| *value)
    }
}

const MESSAGE: Table = Table(&[
    ("i", Value::Int(7)),
    ("l", Value::Long(-9_223_372_036_854_775_808)),
    ("f", Value::Double(1.5)),
    ("t", Value::Bool(true)),
    ("s", Value::Text("it's_5%")),
    ("two", Value::Text("2")),
    ("JMSDeliveryMode", Value::Text("PERSISTENT")),
]);

#[test]
fn selectors_select() {
    for (selector, selected) in [
        ("", true),
        ("  ", true),
        ("i = 7", true),
        ("i <> 7", false),
        ("i = 7.0 AND f > 1", true),
        ("i = 0x7 and i = 07 and i = 7L", true),
        ("l = -9223372036854775808", true),
        ("-i = -7", true),
        (
            "i + 1 = 8 AND i * 2 - 4 = 10 AND i / 2 = 3.5 AND i % 2 = 1",
            true,
        ),
        ("s = 'it''s_5%'", true),
        ("s LIKE 'it%'", true),
        ("s LIKE 'it''s!_5!%' ESCAPE '!'", true),
        ("s NOT LIKE 'x%'", true),
        ("i LIKE '7'", false),
        ("i BETWEEN 6 AND 8 AND i NOT BETWEEN 1 AND 2", true),
        ("two IN ('1', '2') AND two NOT IN ('3')", true),
        ("two = 2", false),
        ("missing IS NULL AND i IS NOT NULL", true),
        ("missing = 1", false),
        ("NOT (missing = 1)", false),
        ("i <> missing", true),
        ("t", true),
        ("NOT t", false),
        ("i", false),
        ("TRUE", true),
        ("NULL", false),
        ("NOT t = 1", false),
        ("NOT (i = 8)", true),
        ("t = TRUE AND (i = 1 OR i = 7)", true),
        ("JMSDeliveryMode = 'PERSISTENT'", true),
        ("i = 7 -- so it is", true),
        ("i /* the number */ = 7", true),
        ("f = .15E1 AND f >= 1. AND f < 5E10", true),
        ("'a' + i = 'a7'", true),
        ("i = 99999999999999999999999", false),
    ] {
        let predicate = parse(selector).unwrap_or_else(|error| panic!("{selector}: {error}"));
        let found = predicate.is_none_or(|predicate| predicate.matches(&MESSAGE));
        assert_eq!(found, selected, "{selector}");
    }
}

#[test]
fn what_is_no_selector_is_refused() {
    let deep = "(".repeat(500);
    let signs = "-".repeat(500);
    let long = "a OR ".repeat(20_000);
    for selector in [
        "i =",
        "= 7",
        "i = 7 8",
        "i < 'a'",
        "i > TRUE",
        "'a' >= i",
        "i < (a = b)",
        "i = NULL",
        "TRUE = 1",
        "1 = FALSE",
        "5",
        "'text'",
        "i + 1",
        "3 IN ('a')",
        "i IN (1, 2)",
        "i IN ()",
        "s LIKE 7",
        "s LIKE 'a' ESCAPE 'ab'",
        "s LIKE 'a' ESCAPE ''",
        "s = 'open",
        "i BETWEEN 1",
        "i IS 7",
        "(i = 7",
        "i = 7)",
        "i ! 7",
        "/* open",
        "REGEX('a', s)",
        "XPATH 'a'",
        "i = 09",
        "i = 0x",
        ".",
        "NOT",
        "and = 1",
        &deep,
        &signs,
        &long,
    ] {
        assert!(parse(selector).is_err(), "{selector}");
    }
}
