//! Values with a known shape.

use std::collections::BTreeMap;

use super::JsonError;
use super::value::{Limits, Value};
use super::writer::{Dialect, Writer};

/// What can be read from and written as JSON.
pub trait Json: Sized {
    fn read(value: Value<'_>) -> Result<Self, JsonError>;

    fn write(&self, out: &mut Writer<'_>);

    /// For optional members: an unknown name of an enum reads as absent, as in Java.
    fn read_optional(value: Value<'_>) -> Result<Option<Self>, JsonError> {
        Self::read(value).map(Some)
    }

    /// Whether an object leaves the member out.
    fn is_absent(&self) -> bool {
        false
    }
}

/// What can be the key of a map.
pub trait JsonKey: Ord + Sized {
    fn read_key(key: Value<'_>) -> Result<Self, JsonError>;

    fn write_key(&self, out: &mut Writer<'_>);
}

/// Reads a body within the default limits.
pub fn from_slice<T: Json>(bytes: &[u8]) -> Result<T, JsonError> {
    T::read(Value::parse(bytes, Limits::default())?)
}

/// The body as fastjson would write it.
pub fn to_vec<T: Json>(body: &T) -> Vec<u8> {
    written(body, Dialect::Fast)
}

/// The body in standard JSON; only routes are ever asked for so.
pub fn to_standard_vec<T: Json>(body: &T) -> Vec<u8> {
    written(body, Dialect::Standard)
}

fn written<T: Json>(body: &T, dialect: Dialect) -> Vec<u8> {
    let mut out = Vec::new();
    body.write(&mut Writer::new(&mut out, dialect));
    out
}

fn read_int(value: &Value<'_>) -> Result<i64, JsonError> {
    let text = value
        .as_text()
        .ok_or(JsonError::Expected("a number"))?
        .trim();
    // Java's parser takes the suffixes of its literals, and cuts decimals.
    let digits = text.trim_end_matches(['L', 'S', 'B']);
    digits
        .parse()
        .or_else(|_| digits.parse::<f64>().map(|number| number as i64))
        .map_err(|_| JsonError::Expected("a number"))
}

impl Json for i64 {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        read_int(&value)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.int(*self);
    }
}

impl Json for i32 {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        Self::try_from(read_int(&value)?).map_err(|_| JsonError::Expected("a 32-bit number"))
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.int(i64::from(*self));
    }
}

impl Json for f64 {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        let text = value.as_text().ok_or(JsonError::Expected("a number"))?;
        text.trim()
            .parse()
            .map_err(|_| JsonError::Expected("a number"))
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.double(*self);
    }
}

impl Json for bool {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        match value.as_text() {
            Some("1") => Ok(true),
            Some(text) => Ok(crate::java::parse_boolean(text)),
            None => Err(JsonError::Expected("a boolean")),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.boolean(*self);
    }
}

impl Json for String {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        match value {
            Value::Text(text) => Ok(text.into_owned()),
            other => other
                .as_text()
                .map(str::to_owned)
                .ok_or(JsonError::Expected("a text")),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.text(self);
    }
}

impl<T: Json> Json for Option<T> {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        match value {
            Value::Null => Ok(None),
            other => T::read_optional(other),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        match self {
            Some(value) => value.write(out),
            None => out.null(),
        }
    }

    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T: Json> Json for Vec<T> {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        match value {
            Value::List(items) => items.into_iter().map(T::read).collect(),
            _ => Err(JsonError::Expected("a list")),
        }
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.list(|out| self.iter().for_each(|item| item.write(out)));
    }
}

impl<K: JsonKey, V: Json> Json for BTreeMap<K, V> {
    fn read(value: Value<'_>) -> Result<Self, JsonError> {
        let Value::Map(members) = value else {
            return Err(JsonError::Expected("a map"));
        };
        let mut map = Self::new();
        for (key, value) in members {
            // Concurrent maps of Java hold no nulls, so a null member is one that is not there.
            if value != Value::Null {
                map.insert(K::read_key(key)?, V::read(value)?);
            }
        }
        Ok(map)
    }

    fn write(&self, out: &mut Writer<'_>) {
        out.map(|out| {
            for (key, value) in self {
                key.write_key(out);
                value.write(out);
            }
        });
    }
}

impl JsonKey for String {
    fn read_key(key: Value<'_>) -> Result<Self, JsonError> {
        Self::read(key)
    }

    fn write_key(&self, out: &mut Writer<'_>) {
        out.key(self);
    }
}

impl JsonKey for i64 {
    fn read_key(key: Value<'_>) -> Result<Self, JsonError> {
        read_int(&key)
    }

    fn write_key(&self, out: &mut Writer<'_>) {
        out.key_int(*self);
    }
}

impl JsonKey for i32 {
    fn read_key(key: Value<'_>) -> Result<Self, JsonError> {
        Self::read(key)
    }

    fn write_key(&self, out: &mut Writer<'_>) {
        out.key_int(i64::from(*self));
    }
}

/// Whether the keys of an object are in the order that is written.
pub(crate) const fn are_sorted(names: &[&str]) -> bool {
    let mut at = 1;
    while at < names.len() {
        if !precedes(names[at - 1].as_bytes(), names[at].as_bytes()) {
            return false;
        }
        at += 1;
    }
    true
}

const fn precedes(left: &[u8], right: &[u8]) -> bool {
    let mut at = 0;
    while at < left.len() && at < right.len() {
        if left[at] != right[at] {
            return left[at] < right[at];
        }
        at += 1;
    }
    left.len() < right.len()
}

/// Declares a body: its members in alphabetical order, each with its name on the wire, its type and
/// the value it has when absent (the type's default unless given).
macro_rules! body {
    (
        $(#[$meta:meta])*
        pub struct $name:ident {
            $( $(#[$field_meta:meta])* $wire:literal $field:ident: $kind:ty $(= $default:expr)?, )*
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        const _: () = assert!($crate::json::are_sorted(&[$($wire),*]), "members are sorted");

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $( $field: $crate::json::body!(@default $($default)?), )*
                }
            }
        }

        impl $crate::json::Json for $name {
            fn read(
                value: $crate::json::Value<'_>,
            ) -> Result<Self, $crate::json::JsonError> {
                let $crate::json::Value::Map(members) = value else {
                    return Err($crate::json::JsonError::Expected(stringify!($name)));
                };
                let mut body = Self::default();
                for (key, value) in members {
                    if value == $crate::json::Value::Null {
                        continue;
                    }
                    match key.as_text() {
                        $( Some($wire) => body.$field = $crate::json::Json::read(value)?, )*
                        Some(_) | None => {}
                    }
                }
                Ok(body)
            }

            fn write(&self, out: &mut $crate::json::Writer<'_>) {
                out.map(|out| {
                    $(
                        if !$crate::json::Json::is_absent(&self.$field) {
                            out.key($wire);
                            $crate::json::Json::write(&self.$field, out);
                        }
                    )*
                });
            }
        }
    };
    (@default) => { Default::default() };
    (@default $default:expr) => { $default };
}

/// Declares an enum that is written as its name; ordinals are read too.
macro_rules! names {
    (
        $(#[$meta:meta])*
        pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident $wire:literal, )* }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $( $(#[$variant_meta])* $variant, )*
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub fn name(self) -> &'static str {
                match self {
                    $( Self::$variant => $wire, )*
                }
            }

            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.name() == name)
            }
        }

        impl $crate::json::Json for $name {
            fn read(
                value: $crate::json::Value<'_>,
            ) -> Result<Self, $crate::json::JsonError> {
                Self::read_optional(value)?
                    .ok_or($crate::json::JsonError::Expected(stringify!($name)))
            }

            fn read_optional(
                value: $crate::json::Value<'_>,
            ) -> Result<Option<Self>, $crate::json::JsonError> {
                let text = value
                    .as_text()
                    .ok_or($crate::json::JsonError::Expected(stringify!($name)))?;
                let by_ordinal =
                    || text.parse::<usize>().ok().and_then(|at| Self::ALL.get(at).copied());
                Ok(Self::from_name(text).or_else(by_ordinal))
            }

            fn write(&self, out: &mut $crate::json::Writer<'_>) {
                out.text(self.name());
            }
        }
    };
}

pub(crate) use {body, names};
