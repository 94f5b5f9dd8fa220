//! The encoding of a snapshot: fixed widths, big-endian, no field names. The version alone
//! determines the layout.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use zeroize::{Zeroize, Zeroizing};

use crate::crypto::{Provider, Secret};
use crate::rng::Rng;
use crate::time::{Instant, UnixTime};

/// Writes fields. The octets contain keys, so every buffer that held them is wiped.
#[derive(Debug, Default)]
pub(crate) struct Encoder(Zeroizing<Vec<u8>>);

/// Reads the fields that an [`Encoder`] wrote.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    /// Makes the ciphers again from their keys.
    pub(crate) provider: &'a dyn Provider,
    pub(crate) rng: &'a mut dyn Rng,
}

/// Why octets cannot be restored as a snapshot; the caller starts without SAs.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Corrupt {
    /// The format has another version.
    #[error("the snapshot has format version {0}, which this version of s2sd cannot read")]
    Version(u16),
    /// The octets end too early, or a field has a value that its type does not allow.
    #[error("the snapshot is damaged: {0}")]
    Field(&'static str),
    /// The snapshot was taken at a later monotonic time than now, so it is of another boot.
    #[error("the snapshot was taken before the last boot, so its deadlines mean nothing now")]
    Boot,
}

/// A type that a snapshot can contain.
pub(crate) trait SnapshotField: Sized {
    /// Writes the value.
    fn save(&self, encoder: &mut Encoder);

    /// Reads a value.
    fn load(decoder: &mut Decoder<'_>) -> Result<Self, Corrupt>;
}

impl Encoder {
    pub(crate) fn put(&mut self, bytes: &[u8]) {
        let needed = self.0.len() + bytes.len();
        if needed > self.0.capacity() {
            // Growing in place would return the old buffer to the allocator without wiping it.
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
        let (head, rest) =
            self.rest.split_at_checked(len).ok_or(Corrupt::Field("it ends too early"))?;
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

/// Lists of anything but octets; a list of octets is one field.
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

/// Structs by all their fields: a struct with a forgotten field does not compile.
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

/// Enums by all their variants, each with a number whose meaning never changes.
macro_rules! variants {
    ($($name:ident {
        $($tag:literal => $variant:ident { $($field:tt : $bind:ident),* $(,)? }),* $(,)?
    })*) => {$(
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

/// Codes of an IANA registry, by their number.
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

/// Newtypes, by the value that they wrap.
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
