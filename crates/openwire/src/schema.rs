//! The table language: each type names its fields once, in wire order, and gets its struct, its
//! reader and its writer from that one list.
//!
//! A field is `name: kind`, `name: kind(Type)` or either of them `since N`, where N is the first
//! OpenWire version that carries it. The kinds are methods of [`Reader`] and [`Writer`], so the
//! tight and the loose encoding, with and without cache, share every declaration:
//!
//! | kind | wire | Rust |
//! |---|---|---|
//! | `base` | the two fields of BaseCommand, inline | [`BaseCommand`] |
//! | `bool` `byte` `int` `long` | fixed (long: 0 to 8 bytes when tight) | `bool` `i8` `i32` `i64` |
//! | `str` / `name` | nullable string / one that must not be null | `Option<JavaString>` / `JavaString` |
//! | `bytes` / `bulk` | nullable byte array, shared / borrowed from the frame | `Option<Arc<[u8]>>` / `Option<Cow<[u8]>>` |
//! | `nested` `boxed` `array` | structures with their type code | `Option<T>` `Option<Box<T>>` `Option<Vec<T>>` |
//! | `cached` | as nested, through the marshalling cache if that was negotiated | `Option<T>` |
//! | `throwable` | class, message and, if negotiated, stack trace and cause | `Option<Box<Throwable>>` |
//! | `magic` | the eight bytes `ActiveMQ` | [`Magic`] |
//! | `code` | nothing: the value is the type code itself | `T` |
//! | `tail` | fields that only one of several type codes has | `T` |

use crate::reader::Reader;
use crate::writer::Writer;
use crate::{Identity, Malformed, Unencodable};

/// The two fields every command starts with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BaseCommand {
    pub command_id: i32,
    pub response_required: bool,
}

impl BaseCommand {
    /// A command that its peer answers with a response correlated to `command_id`.
    pub fn request(command_id: i32) -> Self {
        Self {
            command_id,
            response_required: true,
        }
    }

    /// A command that is not answered.
    pub fn one_way(command_id: i32) -> Self {
        Self {
            command_id,
            response_required: false,
        }
    }
}

/// Stands for the eight bytes `ActiveMQ` that open a WireFormatInfo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Magic;

/// The bytes of [`Magic`].
pub const MAGIC: [u8; 8] = *b"ActiveMQ";

/// Something with a type code and fields.
pub(crate) trait Structure<'a>: Sized {
    /// Whether `code` stands for this type.
    fn accepts(code: u8) -> bool;

    fn code(&self) -> u8;

    fn base(&self) -> Option<&BaseCommand> {
        None
    }

    fn read<R: Reader<'a>>(code: u8, reader: &mut R) -> Result<Self, Malformed>;

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Unencodable>;
}

/// A structure that the marshalling cache may stand in for.
pub(crate) trait Cacheable: for<'a> Structure<'a> {
    fn to_identity(&self) -> Identity;

    fn from_identity(identity: &Identity) -> Option<Self>;
}

/// Fields that exist for only some of the type codes of a structure.
pub(crate) trait Tail: Sized {
    fn read<'a, R: Reader<'a>>(code: u8, reader: &mut R) -> Result<Self, Malformed>;

    fn write<W: Writer>(&self, writer: &mut W) -> Result<(), Unencodable>;
}

/// Reads one of the alternatives of a choice. Apart from the choice itself, whose stack frame would
/// otherwise have room for every alternative at each level of nesting.
#[inline(never)]
pub(crate) fn read_choice<'a, T, U, R>(code: u8, reader: &mut R) -> Result<U, Malformed>
where
    T: Structure<'a> + Into<U>,
    R: Reader<'a>,
{
    Ok(T::read(code, reader)?.into())
}

/// Messages and WireFormatInfo announce, where nested in a tight structure, whether they come
/// pre-marshalled; nobody makes use of it, but the bit is there.
pub(crate) fn is_marshal_aware(code: u8) -> bool {
    matches!(code, 1 | 23..=29)
}

/// Declares one type of the table. See the module documentation.
macro_rules! structure {
    (
        $(#[$meta:meta])*
        pub struct $name:ident $(<$lt:lifetime>)? = ($($code:tt)+) {
            $(
                $(#[$field_meta:meta])*
                $field:ident : $kind:ident $(($($of:tt)+))? $(since $version:literal)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct $name $(<$lt>)? {
            $($(#[$field_meta])* pub $field: structure!(@type $kind $($($of)+)?),)*
        }

        impl<'a> $crate::schema::Structure<'a> for $name $(<$lt>)? {
            fn accepts(code: u8) -> bool {
                structure!(@accepts code $($code)+)
            }

            fn code(&self) -> u8 {
                structure!(@code self $($code)+)
            }

            fn base(&self) -> Option<&$crate::schema::BaseCommand> {
                structure!(@base self $($kind)*)
            }

            #[allow(unused_variables, reason = "types without fields read nothing")]
            fn read<R: $crate::reader::Reader<'a>>(
                code: u8,
                reader: &mut R,
            ) -> Result<Self, $crate::Malformed> {
                $(
                    let $field = structure!(
                        @gate reader ($($version)?) (structure!(@read reader code $kind $($($of)+)?))
                    );
                )*
                Ok(Self { $($field),* })
            }

            #[allow(unused_variables, reason = "types without fields write nothing")]
            fn write<W: $crate::writer::Writer>(
                &self,
                writer: &mut W,
            ) -> Result<(), $crate::Unencodable> {
                $(
                    if structure!(@exists writer $($version)?) {
                        structure!(@write writer (&self.$field) $kind);
                    }
                )*
                Ok(())
            }
        }
    };

    (@type base) => { $crate::schema::BaseCommand };
    (@type magic) => { $crate::schema::Magic };
    (@type bool) => { bool };
    (@type byte) => { i8 };
    (@type int) => { i32 };
    (@type long) => { i64 };
    (@type str) => { Option<$crate::JavaString> };
    (@type name) => { $crate::JavaString };
    (@type bytes) => { Option<std::sync::Arc<[u8]>> };
    (@type bulk $lt:lifetime) => { Option<std::borrow::Cow<$lt, [u8]>> };
    (@type throwable) => { Option<Box<$crate::Throwable>> };
    (@type nested $($of:tt)+) => { Option<$($of)+> };
    (@type boxed $($of:tt)+) => { Option<Box<$($of)+>> };
    (@type array $($of:tt)+) => { Option<Vec<$($of)+>> };
    (@type cached $($of:tt)+) => { Option<$($of)+> };
    (@type code $($of:tt)+) => { $($of)+ };
    (@type tail $($of:tt)+) => { $($of)+ };

    (@accepts $code:ident $own:literal) => { $code == $own };
    (@accepts $code:ident $field:ident $of:ident) => { $of::from_code($code).is_ok() };
    (@code $self:ident $code:literal) => { $code };
    (@code $self:ident $field:ident $of:ident) => { $self.$field.code() };
    (@base $self:ident base $($kind:ident)*) => { Some(&$self.base) };
    (@base $self:ident $($kind:ident)*) => { None };

    (@gate $reader:ident () ($read:expr)) => { $read };
    (@gate $reader:ident ($version:literal) ($read:expr)) => {
        if $reader.version() >= $version { $read } else { Default::default() }
    };
    (@exists $writer:ident) => { true };
    (@exists $writer:ident $version:literal) => { $writer.version() >= $version };

    (@read $reader:ident $code:ident code $of:ident) => { $of::from_code($code)? };
    (@read $reader:ident $code:ident tail $($of:tt)+) => { $reader.tail($code)? };
    (@read $reader:ident $code:ident $kind:ident $($of:tt)*) => { $reader.$kind()? };
    (@write $writer:ident ($value:expr) code) => { let _ = $value; };
    (@write $writer:ident ($value:expr) $kind:ident) => { $writer.$kind($value)? };
}

pub(crate) use structure;

/// Declares a structure that is one of several others, told apart by type code.
macro_rules! choice {
    (
        $(#[$meta:meta])*
        pub enum $name:ident $(<$lt:lifetime>)? { $($variant:ident($of:ty)),* $(,)? }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub enum $name $(<$lt>)? { $($variant($of)),* }

        impl<'a> $crate::schema::Structure<'a> for $name $(<$lt>)? {
            fn accepts(code: u8) -> bool {
                $(<$of as $crate::schema::Structure>::accepts(code))||*
            }

            fn code(&self) -> u8 {
                match self { $(Self::$variant(value) => value.code(),)* }
            }

            fn base(&self) -> Option<&$crate::schema::BaseCommand> {
                match self { $(Self::$variant(value) => value.base(),)* }
            }

            fn read<R: $crate::reader::Reader<'a>>(
                code: u8,
                reader: &mut R,
            ) -> Result<Self, $crate::Malformed> {
                $(
                    if <$of as $crate::schema::Structure>::accepts(code) {
                        return $crate::schema::read_choice::<$of, Self, R>(code, reader);
                    }
                )*
                Err($crate::Malformed::UnexpectedType { code })
            }

            fn write<W: $crate::writer::Writer>(
                &self,
                writer: &mut W,
            ) -> Result<(), $crate::Unencodable> {
                match self { $(Self::$variant(value) => value.write(writer),)* }
            }
        }

        choice!(@from $name $(<$lt>)?; $($variant($of)),*);
    };

    (@from $name:ty; $($variant:ident($of:ty)),*) => {
        $(
            #[allow(clippy::extra_unused_lifetimes, reason = "choices among ids borrow nothing")]
            impl<'a> From<$of> for $name {
                fn from(value: $of) -> Self {
                    Self::$variant(value)
                }
            }
        )*
    };
}

pub(crate) use choice;
