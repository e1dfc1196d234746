//! The three macros that declare what crosses a trust boundary: `record!`, `choice!` and `message!`.
//!
//! Decides: one declaration gives the type, its canonical encoding, its strict decoding and a sampler for property tests, so
//! that no message can be added without being covered by them.
//! Trusts: nothing. Out of scope: which messages exist.

/// A struct whose fields are encoded one after the other.
#[macro_export]
macro_rules! record {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident : $kind:ty),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct $name { $($(#[$fmeta])* pub $field: $kind),* }

        impl $crate::codec::Field for $name {
            fn put(&self, out: &mut ::alloc::vec::Vec<u8>) {
                let _ = &out;
                $($crate::codec::Field::put(&self.$field, out);)*
            }
            fn size(&self) -> usize {
                0_usize$(.saturating_add($crate::codec::Field::size(&self.$field)))*
            }
            fn take(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                let _ = &input;
                Ok($name { $($field: $crate::codec::Field::take(input)?),* })
            }
        }

        #[cfg(any(test, feature = "sample"))]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self {
                let _ = &source;
                $name { $($field: $crate::sample::Sample::sample(source)),* }
            }
        }
    };
}

/// A struct that travels on its own: `enc(label, fields...)`, every field framed.
#[macro_export]
macro_rules! message {
    ($(#[$meta:meta])* pub struct $name:ident = $label:ident { $($(#[$fmeta:meta])* pub $field:ident : $kind:ty),* $(,)? }) => {
        $crate::record! { $(#[$meta])* pub struct $name { $($(#[$fmeta])* pub $field: $kind),* } }

        impl $crate::codec::Message for $name {
            const LABEL: $crate::label::Label = $crate::label::Label::$label;
            fn encode(&self) -> ::alloc::vec::Vec<u8> {
                const FIELDS: usize = [$(stringify!($field)),*].len();
                let size = 0_usize$(.saturating_add($crate::codec::framed_size(&self.$field)))*;
                let mut out = $crate::codec::open_enc(Self::LABEL, FIELDS, size);
                $($crate::codec::put_framed(&self.$field, &mut out);)*
                out
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::codec::DecodeError> {
                const FIELDS: usize = [$(stringify!($field)),*].len();
                let mut input = $crate::codec::Reader::new(bytes);
                $crate::codec::take_opening(&mut input, Self::LABEL, FIELDS)?;
                let value = $name { $($field: $crate::codec::take_framed(&mut input)?),* };
                input.finish()?;
                Ok(value)
            }
        }
    };
}

/// An enum with a `u8` tag; a variant carries nothing or one value.
#[macro_export]
macro_rules! choice {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $tag:literal => $variant:ident $(($kind:ty))?),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vmeta])* $variant $(($kind))?),* }

        impl $crate::codec::Field for $name {
            fn put(&self, out: &mut ::alloc::vec::Vec<u8>) {
                $($crate::choice!(@put self out $name $tag $variant $(($kind))?);)*
            }
            fn size(&self) -> usize {
                match self {
                    $($crate::choice!(@each $name $variant inner $(($kind))?) => $crate::choice!(@size inner $(($kind))?),)*
                }
            }
            fn take(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                match <u8 as $crate::codec::Field>::take(input)? {
                    $($tag => Ok($crate::choice!(@take input $name $variant $(($kind))?)),)*
                    tag => Err($crate::codec::DecodeError::UnknownTag { what: stringify!($name), tag }),
                }
            }
        }

        #[cfg(any(test, feature = "sample"))]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self {
                let tags = [$($tag as u8),*];
                let pick = tags[source.below(tags.len())];
                $(if pick == $tag { return $crate::choice!(@sample source $name $variant $(($kind))?); })*
                unreachable!("one of the tags was picked")
            }
        }
    };
    (@put $self:ident $out:ident $name:ident $tag:literal $variant:ident) => {
        if let $name::$variant = $self { $out.push($tag); }
    };
    (@put $self:ident $out:ident $name:ident $tag:literal $variant:ident ($kind:ty)) => {
        if let $name::$variant(inner) = $self { $out.push($tag); $crate::codec::Field::put(inner, $out); }
    };
    (@each $name:ident $variant:ident $inner:ident) => { $name::$variant };
    (@each $name:ident $variant:ident $inner:ident ($kind:ty)) => { $name::$variant($inner) };
    (@size $inner:ident) => { 1 };
    (@size $inner:ident ($kind:ty)) => { $crate::codec::Field::size($inner).saturating_add(1) };
    (@take $input:ident $name:ident $variant:ident) => { $name::$variant };
    (@take $input:ident $name:ident $variant:ident ($kind:ty)) => { $name::$variant(<$kind as $crate::codec::Field>::take($input)?) };
    (@sample $source:ident $name:ident $variant:ident) => { $name::$variant };
    (@sample $source:ident $name:ident $variant:ident ($kind:ty)) => { $name::$variant($crate::sample::Sample::sample($source)) };
}

/// A fixed-size byte string with a name of its own.
#[macro_export]
macro_rules! byte_name {
    ($(#[$meta:meta])* $name:ident, $size:literal) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $size]);

        impl core::fmt::Debug for $name {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(out, "{}({self})", stringify!($name))
            }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                $crate::text::write_hex(&self.0, out)
            }
        }
        impl core::str::FromStr for $name {
            type Err = $crate::codec::DecodeError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::text::read_hex(text).map($name).ok_or($crate::codec::DecodeError::Illegal { what: stringify!($name) })
            }
        }
        impl $crate::codec::Field for $name {
            fn put(&self, out: &mut ::alloc::vec::Vec<u8>) { out.extend_from_slice(&self.0); }
            fn size(&self) -> usize { $size }
            fn take(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> { Ok($name(input.array()?)) }
        }
        #[cfg(any(test, feature = "sample"))]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self { $name($crate::sample::Sample::sample(source)) }
        }
    };
}

/// An integer with a name of its own.
#[macro_export]
macro_rules! number_name {
    ($(#[$meta:meta])* $name:ident, $kind:ty) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $kind);

        impl core::fmt::Display for $name {
            fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result { write!(out, "{}", self.0) }
        }
        impl $crate::codec::Field for $name {
            fn put(&self, out: &mut ::alloc::vec::Vec<u8>) { $crate::codec::Field::put(&self.0, out); }
            fn size(&self) -> usize { $crate::codec::Field::size(&self.0) }
            fn take(input: &mut $crate::codec::Reader<'_>) -> Result<Self, $crate::codec::DecodeError> {
                Ok($name($crate::codec::Field::take(input)?))
            }
        }
        #[cfg(any(test, feature = "sample"))]
        impl $crate::sample::Sample for $name {
            fn sample(source: &mut $crate::sample::Source) -> Self { $name($crate::sample::Sample::sample(source)) }
        }
    };
}
