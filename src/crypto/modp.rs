//! Key exchange in prime fields: groups 2 (RFC 7296 App. B), 14 (RFC 3526) and 24 (RFC 5114), in
//! constant time.
//!
//! A fixed-window exponentiation in Montgomery form over constant moduli. What the running time
//! depends on is the group and the length of its exponents, never their bits; only the test of a
//! public value's order, which is public, may take short cuts.

use crypto_bigint::modular::{ConstMontyForm, ConstMontyParams};
use crypto_bigint::{NonZero, U256, U320, U1024, U2048, Uint, const_monty_params};
use zeroize::{Zeroize, Zeroizing};

use super::error::PublicValueError;
use super::keys::SharedSecret;
use super::provider::KeyAgreement;
use super::secret::Secret;
use super::suite::Group;
use crate::rng::Rng;

/// One of the fields.
#[derive(Clone, Copy, Debug)]
pub(super) enum ModpField {
    Modp1024,
    Modp2048,
    Modp2048S256,
}

impl ModpField {
    fn group(self) -> Group {
        match self {
            ModpField::Modp1024 => Group::Modp1024,
            ModpField::Modp2048 => Group::Modp2048,
            ModpField::Modp2048S256 => Group::Modp2048S256,
        }
    }

    /// A private exponent: at least twice the group's strength in bits. That strength is about 80
    /// bits for group 2 (RFC 3766 §5); for group 14 RFC 3526 §8 asks for 220 to 320 bits, the upper
    /// one is taken. In group 24 it is uniform in the subgroup, 1..q-1, by 64 bits more than q has,
    /// so that the bias of the remainder is out of sight (FIPS 186-5 A.2.1).
    pub(super) fn draw(self, rng: &mut dyn Rng) -> Zeroizing<U320> {
        let mut bytes = Zeroizing::new([0; 40]);
        rng.fill(&mut *bytes);
        let wide = Zeroizing::new(U320::from_be_slice(&*bytes));
        Zeroizing::new(match self {
            ModpField::Modp1024 => wide.wrapping_shr_vartime(64),
            ModpField::Modp2048 => *wide,
            ModpField::Modp2048S256 => {
                let most = ORDER.resize::<{ U320::LIMBS }>().wrapping_sub(&U320::ONE);
                let most = NonZero::new(most).expect("q is not 1");
                wide.rem(&most).wrapping_add(&U320::ONE)
            }
        })
    }

    /// How many bits of exponent can be set; the running time shows it.
    fn exponent_bits(self) -> u32 {
        match self {
            ModpField::Modp1024 | ModpField::Modp2048S256 => 256,
            ModpField::Modp2048 => 320,
        }
    }

    /// g^x, as many octets as the modulus has.
    fn public(self, exponent: &U320) -> Vec<u8> {
        let bits = self.exponent_bits();
        match self {
            ModpField::Modp1024 => {
                to_octets(&power::<P1024, _>(&U1024::from_u8(2), exponent, bits))
            }
            ModpField::Modp2048 => {
                to_octets(&power::<P2048, _>(&U2048::from_u8(2), exponent, bits))
            }
            ModpField::Modp2048S256 => {
                to_octets(&power::<P2048S256, _>(&GENERATOR, exponent, bits))
            }
        }
    }

    /// y^x, if y is a value that the group allows.
    fn shared(self, exponent: &U320, peer: &[u8]) -> Result<Vec<u8>, PublicValueError> {
        let group = self.group();
        PublicValueError::check_len(group, peer)?;
        let range = PublicValueError::Range(group);
        let bits = self.exponent_bits();
        // p = 2q+1 in groups 2 and 14: between 2 and p-2 only large orders are left (RFC 6989
        // §2.1).
        let shared = match self {
            ModpField::Modp1024 => {
                let y = in_range::<P1024, _>(U1024::from_be_slice(peer)).ok_or(range)?;
                to_octets(&*Zeroizing::new(power::<P1024, _>(&y, exponent, bits)))
            }
            ModpField::Modp2048 => {
                let y = in_range::<P2048, _>(U2048::from_be_slice(peer)).ok_or(range)?;
                to_octets(&*Zeroizing::new(power::<P2048, _>(&y, exponent, bits)))
            }
            ModpField::Modp2048S256 => {
                let y = in_range::<P2048S256, _>(U2048::from_be_slice(peer)).ok_or(range)?;
                // Here p-1 has many small factors: only y^q = 1 keeps y to the large subgroup (RFC
                // 6989 §2.2).
                let order = ConstMontyForm::<P2048S256, _>::new(&y).pow_vartime(&ORDER);
                if order != ConstMontyForm::ONE {
                    return Err(PublicValueError::Subgroup(group));
                }
                to_octets(&*Zeroizing::new(power::<P2048S256, _>(&y, exponent, bits)))
            }
        };
        Ok(shared)
    }
}

pub(super) struct Modp {
    field: ModpField,
    exponent: Zeroizing<U320>,
    public: Vec<u8>,
}

impl Modp {
    pub(super) fn generate(field: ModpField, rng: &mut dyn Rng) -> Modp {
        Modp::from_exponent(field, field.draw(rng))
    }

    /// From the exponent that `export` gave.
    pub(super) fn resume(field: ModpField, private: &Secret) -> Option<Modp> {
        let fits = private.len() == U320::BYTES;
        fits.then(|| {
            Modp::from_exponent(field, Zeroizing::new(U320::from_be_slice(private.expose())))
        })
    }

    pub(super) fn from_exponent(field: ModpField, exponent: Zeroizing<U320>) -> Modp {
        let public = field.public(&exponent);
        Modp { field, exponent, public }
    }
}

impl KeyAgreement for Modp {
    fn group(&self) -> Group {
        self.field.group()
    }

    fn public_value(&self) -> &[u8] {
        &self.public
    }

    fn export(&self) -> Option<Secret> {
        let bytes = Zeroizing::new(self.exponent.to_be_bytes());
        Some(Secret::copy_of(bytes.as_ref()))
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, PublicValueError> {
        self.field.shared(&self.exponent, peer).map(|shared| SharedSecret(Secret::new(shared)))
    }
}

impl std::fmt::Debug for Modp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Modp").field("field", &self.field).finish_non_exhaustive()
    }
}

fn in_range<M: ConstMontyParams<LIMBS>, const LIMBS: usize>(y: Uint<LIMBS>) -> Option<Uint<LIMBS>> {
    let top = M::PARAMS.modulus().as_ref().wrapping_sub(&Uint::ONE);
    (y > Uint::ONE && y < top).then_some(y)
}

fn power<M: ConstMontyParams<LIMBS>, const LIMBS: usize>(
    base: &Uint<LIMBS>,
    exponent: &U320,
    bits: u32,
) -> Uint<LIMBS> {
    let mut power = ConstMontyForm::<M, LIMBS>::new(base).pow_bounded_exp(exponent, bits);
    let result = power.retrieve();
    power.zeroize();
    result
}

/// Leading zeros stay: the value has the length of the modulus (RFC 7296 §2.14). The room is taken
/// at once, so that no copy of a shared secret stays behind a growing vector.
fn to_octets<const LIMBS: usize>(number: &Uint<LIMBS>) -> Vec<u8> {
    let mut octets = Vec::with_capacity(Uint::<LIMBS>::BYTES);
    for word in number.as_words().iter().rev() {
        octets.extend_from_slice(&word.to_be_bytes());
    }
    octets
}

const_monty_params!(
    P1024,
    U1024,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF"
);

const_monty_params!(
    P2048,
    U2048,
    "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD\
     EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED\
     EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF0598DA48361C55D39A69163FA8FD24CF5F\
     83655D23DCA3AD961C62F356208552BB9ED529077096966D670C354E4ABC9804F1746C08CA18217C32905E462E36CE3B\
     E39E772C180E86039B2783A2EC07A28FB5C55DF06F4C52C9DE2BCBF6955817183995497CEA956AE515D2261898FA0510\
     15728E5A8AACAA68FFFFFFFFFFFFFFFF"
);

const_monty_params!(
    P2048S256,
    U2048,
    "87A8E61DB4B6663CFFBBD19C651959998CEEF608660DD0F25D2CEED4435E3B00E00DF8F1D61957D4FAF7DF4561B2AA30\
     16C3D91134096FAA3BF4296D830E9A7C209E0C6497517ABD5A8A9D306BCF67ED91F9E6725B4758C022E0B1EF4275BF7B\
     6C5BFC11D45F9088B941F54EB1E59BB8BC39A0BF12307F5C4FDB70C581B23F76B63ACAE1CAA6B7902D52526735488A0E\
     F13C6D9A51BFA4AB3AD8347796524D8EF6A167B5A41825D967E144E5140564251CCACB83E6B486F6B3CA3F7971506026\
     C0B857F689962856DED4010ABD0BE621C3A3960A54E710C375F26375D7014103A4B54330C198AF126116D2276E11715F\
     693877FAD7EF09CADB094AE91E1A1597"
);

/// g of group 24.
const GENERATOR: U2048 = U2048::from_be_hex(
    "3FB32C9B73134D0B2E77506660EDBD484CA7B18F21EF205407F4793A1A0BA12510DBC15077BE463FFF4FED4AAC0BB555\
     BE3A6C1B0C6B47B1BC3773BF7E8C6F62901228F8C28CBB18A55AE31341000A650196F931C77A57F2DDF463E5E9EC144B\
     777DE62AAAB8A8628AC376D282D6ED3864E67982428EBC831D14348F6F2F9193B5045AF2767164E1DFC967C1FB3F2E55\
     A4BD1BFFE83B9C80D052B985D182EA0ADB2A3B7313D3FE14C8484B1E052588B9B7D2BBD2DF016199ECD06E1557CD0915\
     B3353BBB64E0EC377FD028370DF92B52C7891428CDC67EB6184B523D1DB246C32F63078490F00EF8D647D148D4795451\
     5E2327CFEF98C582664B4C0F6CC41659",
);

/// q of group 24: the prime order of the subgroup that g generates.
pub(super) const ORDER: U256 =
    U256::from_be_hex("8CF83642A709A097B447997640129DA299B1A47D1EB3750BA308B0FE64F5FBD3");
