//! How a snapshot's fields become octets: fixed widths, big-endian, no field names; the version
//! says what stands where.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{Provider, Secret};
use crate::rng::Rng;
use crate::time::{Instant, UnixTime};

/// Writes. The octets hold keys, so they are wiped wherever they have been.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Zeroizing<Vec<u8>>);

/// Reads what a [`Encoder`] wrote.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    /// Ciphers are made again from their keys.
    pub(crate) provider: &'a dyn Provider,
    pub(crate) rng: &'a mut dyn Rng,
}

/// Octets that are no snapshot of this version.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Corrupt {
    /// Another version of the format: start cold.
    #[error("the snapshot has version {0}")]
    Version(u16),
    /// It ends too early, or a value is none of its type.
    #[error("the snapshot does not read: {0}")]
    Field(&'static str),
    /// It was taken later than now: the clock is another one, of another boot. Start cold.
    #[error("the snapshot is of another boot: it was taken later than now")]
    Boot,
}

/// Something that a snapshot holds.
pub(crate) trait SnapshotField: Sized {
    /// Writes it.
    fn save(&self, encoder: &mut Encoder);

    /// Reads it.
    fn load(decoder: &mut Decoder<'_>) -> Result<Self, Corrupt>;
}

impl Encoder {
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // Growing in place would leave the old octets to the allocator, unwiped.
            let mut larger = Vec::with_capacity(needed.next_power_of_two().max(4096));
            larger.extend_from_slice(&self.0);
            self.0.zeroize();
            self.0 = Zeroizing::new(larger);
        }
        self.0.extend_from_slice(bytes);
    }

    /// Writes a list by reference.
    pub(crate) fn list<'t, T: SnapshotField + 't>(
        &mut self,
        items: impl ExactSizeIterator<Item = &'t T>,
    ) {
        items.len().save(self);
        items.for_each(|item| item.save(self));
    }

    pub(crate) fn finish(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(
        bytes: &'a [u8],
        provider: &'a dyn Provider,
        rng: &'a mut dyn Rng,
    ) -> Decoder<'a> {
        Decoder { rest: bytes, provider, rng }
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Corrupt> {
        let (head, rest) = self.rest.split_at_checked(len).ok_or(Corrupt::Field("its end"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

impl std::fmt::Debug for Decoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Decoder({} octets left)", self.rest.len())
    }
}

macro_rules! integers {
    ($($int:ty),*) => {$(
        impl SnapshotField for $int {
            fn save(&self, encoder: &mut Encoder) {
                encoder.put(&self.to_be_bytes());
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$int, Corrupt> {
                let bytes = decoder.take(size_of::<$int>())?;
                let bytes = bytes.try_into().map_err(|_| Corrupt::Field("a number"))?;
                Ok(<$int>::from_be_bytes(bytes))
            }
        }
    )*};
}

integers!(u8, u16, u32, u64);

impl SnapshotField for usize {
    fn save(&self, encoder: &mut Encoder) {
        (*self as u64).save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<usize, Corrupt> {
        usize::try_from(u64::load(decoder)?).map_err(|_| Corrupt::Field("a count"))
    }
}

impl SnapshotField for bool {
    fn save(&self, encoder: &mut Encoder) {
        u8::from(*self).save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<bool, Corrupt> {
        match u8::load(decoder)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Corrupt::Field("a yes or no")),
        }
    }
}

impl SnapshotField for Duration {
    fn save(&self, encoder: &mut Encoder) {
        u64::try_from(self.as_nanos()).unwrap_or(u64::MAX).save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Duration, Corrupt> {
        u64::load(decoder).map(Duration::from_nanos)
    }
}

impl SnapshotField for Instant {
    fn save(&self, encoder: &mut Encoder) {
        self.0.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Instant, Corrupt> {
        u64::load(decoder).map(Instant)
    }
}

impl SnapshotField for UnixTime {
    fn save(&self, encoder: &mut Encoder) {
        self.0.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<UnixTime, Corrupt> {
        u64::load(decoder).map(UnixTime)
    }
}

impl SnapshotField for Vec<u8> {
    fn save(&self, encoder: &mut Encoder) {
        self.len().save(encoder);
        encoder.put(self);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Vec<u8>, Corrupt> {
        let len = usize::load(decoder)?;
        decoder.take(len).map(<[u8]>::to_vec)
    }
}

impl SnapshotField for String {
    fn save(&self, encoder: &mut Encoder) {
        self.len().save(encoder);
        encoder.put(self.as_bytes());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<String, Corrupt> {
        String::from_utf8(Vec::load(decoder)?).map_err(|_| Corrupt::Field("a text"))
    }
}

impl SnapshotField for Secret {
    fn save(&self, encoder: &mut Encoder) {
        self.len().save(encoder);
        encoder.put(self.expose());
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Secret, Corrupt> {
        let len = usize::load(decoder)?;
        decoder.take(len).map(Secret::copy_of)
    }
}

impl SnapshotField for [u8; 32] {
    fn save(&self, encoder: &mut Encoder) {
        encoder.put(self);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<[u8; 32], Corrupt> {
        decoder.take(32)?.try_into().map_err(|_| Corrupt::Field("a hash"))
    }
}

impl SnapshotField for IpAddr {
    fn save(&self, encoder: &mut Encoder) {
        match self {
            IpAddr::V4(v4) => {
                encoder.put(&[4]);
                encoder.put(&v4.octets());
            }
            IpAddr::V6(v6) => {
                encoder.put(&[6]);
                encoder.put(&v6.octets());
            }
        }
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<IpAddr, Corrupt> {
        let wrong = |_| Corrupt::Field("an address");
        match u8::load(decoder)? {
            4 => <[u8; 4]>::try_from(decoder.take(4)?).map(IpAddr::from).map_err(wrong),
            6 => <[u8; 16]>::try_from(decoder.take(16)?).map(IpAddr::from).map_err(wrong),
            _ => Err(Corrupt::Field("an address family")),
        }
    }
}

impl SnapshotField for SocketAddr {
    fn save(&self, encoder: &mut Encoder) {
        self.ip().save(encoder);
        self.port().save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<SocketAddr, Corrupt> {
        Ok(SocketAddr::new(IpAddr::load(decoder)?, u16::load(decoder)?))
    }
}

impl<T: SnapshotField> SnapshotField for Option<T> {
    fn save(&self, encoder: &mut Encoder) {
        self.is_some().save(encoder);
        if let Some(value) = self {
            value.save(encoder);
        }
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Option<T>, Corrupt> {
        bool::load(decoder)?.then(|| T::load(decoder)).transpose()
    }
}

impl<T: SnapshotField> SnapshotField for Box<T> {
    fn save(&self, encoder: &mut Encoder) {
        (**self).save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<Box<T>, Corrupt> {
        T::load(decoder).map(Box::new)
    }
}

impl<T: SnapshotField, U: SnapshotField> SnapshotField for (T, U) {
    fn save(&self, encoder: &mut Encoder) {
        self.0.save(encoder);
        self.1.save(encoder);
    }

    fn load(decoder: &mut Decoder<'_>) -> Result<(T, U), Corrupt> {
        Ok((T::load(decoder)?, U::load(decoder)?))
    }
}

/// Lists of anything but octets, which are one piece.
macro_rules! lists {
    ($($item:ty),* $(,)?) => {$(
        impl SnapshotField for Vec<$item> {
            fn save(&self, encoder: &mut Encoder) {
                encoder.list(self.iter());
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<Vec<$item>, Corrupt> {
                (0..usize::load(decoder)?).map(|_| <$item>::load(decoder)).collect()
            }
        }
    )*};
}
pub(crate) use lists;

/// A struct, by all its fields: one that is forgotten does not compile.
macro_rules! records {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                let $name { $($field),* } = self;
                $($field.save(encoder);)*
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                $(let $field = SnapshotField::load(decoder)?;)*
                Ok($name { $($field),* })
            }
        }
    )*};
}
pub(crate) use records;

/// An enum, by all its variants, each with a number that never changes its meaning.
macro_rules! variants {
    ($($name:ident { $($tag:literal => $variant:ident { $($field:tt : $bind:ident),* $(,)? }),* $(,)? })*) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                match self {
                    $($name::$variant { $($field: $bind),* } => {
                        encoder.put(&[$tag]);
                        $($bind.save(encoder);)*
                    })*
                }
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                match u8::load(decoder)? {
                    $($tag => {
                        $(let $bind = SnapshotField::load(decoder)?;)*
                        Ok($name::$variant { $($field: $bind),* })
                    })*
                    _ => Err(Corrupt::Field(stringify!($name))),
                }
            }
        }
    )*};
}
pub(crate) use variants;

/// A code of a registry, by its number; or a name, by what it wraps.
macro_rules! numbers {
    ($($name:ty: $int:ty),* $(,)?) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                <$int>::from(*self).save(encoder);
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                <$int>::load(decoder).map(<$name>::from)
            }
        }
    )*};
}
pub(crate) use numbers;

/// A number with a meaning.
macro_rules! newtypes {
    ($($name:ident),* $(,)?) => {$(
        impl SnapshotField for $name {
            fn save(&self, encoder: &mut Encoder) {
                self.0.save(encoder);
            }

            fn load(decoder: &mut Decoder<'_>) -> Result<$name, Corrupt> {
                SnapshotField::load(decoder).map($name)
            }
        }
    )*};
}
pub(crate) use newtypes;
