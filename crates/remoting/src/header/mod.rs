//! Typed headers: the string fields of a command under their names and kinds.
//!
//! One file per trade: [`send`], [`pull`], [`offset`], [`client`], [`topic`], [`admin`], [`pop`],
//! [`directory`] (the NameServer's). A member of type `Option` may be missing; any other is required,
//! and its absence is a [`HeaderError`] whose text is what the reference implementation answers
//! with, under code 1. Fields that a header does not name (`ns`, `bname`, `oway`, `lo`, signatures)
//! are passed over; read them with [`ExtFields::get`].

pub mod admin;
pub mod client;
pub mod directory;
pub mod offset;
pub mod pop;
pub mod pull;
pub mod send;
pub mod topic;

use std::borrow::Cow;
use std::fmt;

use crate::ext::ExtFields;
use crate::frame_writer::FrameWriter;

/// A header that can be read from and written to the fields of a command.
pub trait Header<'a>: Sized {
    /// The names on the wire, in the order that is written.
    const FIELDS: &'static [&'static str];

    fn parse(ext: &ExtFields<'a>) -> Result<Self, HeaderError>;

    /// Appends the fields that are present.
    fn emit(&self, out: &mut FrameWriter<'_, '_>);
}

/// Why fields do not make a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderError {
    Missing { field: &'static str },
    NotANumber { field: &'static str },
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { field } => write!(f, "the custom field <{field}> is null"),
            Self::NotANumber { field } => {
                write!(f, "the custom field <{field}> is not a number of its size")
            }
        }
    }
}

impl std::error::Error for HeaderError {}

/// The kinds of member: text, two sizes of integer, boolean, and each of them optional.
pub trait Field<'a>: Sized {
    fn parse(field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError>;

    fn missing(field: &'static str) -> Result<Self, HeaderError> {
        Err(HeaderError::Missing { field })
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>);
}

impl<'a> Field<'a> for Cow<'a, str> {
    fn parse(_field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError> {
        Ok(text)
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>) {
        out.field(key, self);
    }
}

impl<'a> Field<'a> for i32 {
    fn parse(field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError> {
        text.parse().map_err(|_| HeaderError::NotANumber { field })
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>) {
        out.field_int(key, i64::from(*self));
    }
}

impl<'a> Field<'a> for i64 {
    fn parse(field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError> {
        text.parse().map_err(|_| HeaderError::NotANumber { field })
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>) {
        out.field_int(key, *self);
    }
}

impl<'a> Field<'a> for bool {
    fn parse(_field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError> {
        Ok(crate::java::parse_boolean(&text))
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>) {
        out.field(key, if *self { "true" } else { "false" });
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn parse(field: &'static str, text: Cow<'a, str>) -> Result<Self, HeaderError> {
        T::parse(field, text).map(Some)
    }

    fn missing(_field: &'static str) -> Result<Self, HeaderError> {
        Ok(None)
    }

    fn emit(&self, key: &str, out: &mut FrameWriter<'_, '_>) {
        if let Some(value) = self {
            value.emit(key, out);
        }
    }
}

/// Declares headers; one that holds texts says so with `<'a>`.
macro_rules! headers {
    ($(
        $(#[$meta:meta])*
        $name:ident $(<$life:lifetime>)? { $( $(#[$field_meta:meta])* $wire:literal $field:ident: $kind:ty, )* }
    )*) => { $(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct $name $(<$life>)? {
            $( $(#[$field_meta])* pub $field: $kind, )*
        }

        impl<'a> $crate::header::Header<'a> for $name $(<$life>)? {
            const FIELDS: &'static [&'static str] = &[$($wire),*];

            fn parse(
                ext: &$crate::ext::ExtFields<'a>,
            ) -> Result<Self, $crate::header::HeaderError> {
                $( let mut $field: Option<$kind> = None; )*
                for (key, value) in ext.iter() {
                    match key.as_ref() {
                        $( $wire => $field = Some($crate::header::Field::parse($wire, value)?), )*
                        _ => {}
                    }
                }
                Ok(Self {
                    $(
                        $field: match $field {
                            Some(value) => value,
                            None => $crate::header::Field::missing($wire)?,
                        },
                    )*
                })
            }

            fn emit(&self, out: &mut $crate::frame_writer::FrameWriter<'_, '_>) {
                $( $crate::header::Field::emit(&self.$field, $wire, out); )*
            }
        }
    )* };
}

pub(crate) use headers;

/// A text that borrows from the frame unless it contained an escape.
pub type Text<'a> = Cow<'a, str>;
