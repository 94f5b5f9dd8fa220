//! The layout of encrypted messages, against sizes worked out by hand.

use proptest::prelude::*;

use super::values;
use crate::wire::codes::{ExchangeType, PayloadType};
use crate::wire::header::{Flags, Header, IkeVersion, MessageId};
use crate::wire::message::Message;
use crate::wire::payload::chain::Chain;
use crate::wire::payload::nonce::Nonce;
use crate::wire::payload::sk::{FragmentNumber, Room, Sealing, fragment_share};
use crate::wire::spi::IkeSpi;

const GCM: Room = Room { iv: 8, block: 1, icv: 16 };
const CBC_SHA1: Room = Room { iv: 16, block: 16, icv: 12 };
const TRIPLE_DES: Room = Room { iv: 8, block: 8, icv: 12 };

const HEADER: Header = Header {
    initiator_spi: IkeSpi(1),
    responder_spi: IkeSpi(2),
    version: IkeVersion::V2,
    exchange: ExchangeType::CreateChildSa,
    flags: Flags::RESPONSE,
    message_id: MessageId(3),
};

/// A chain of 4 + `length` bytes.
fn nonce(length: usize) -> Chain {
    Chain::from(vec![Nonce::new(vec![0xaa; length]).unwrap().into()])
}

#[test]
fn an_aead_pads_nothing() {
    let Sealing { bytes, body, text } = Sealing::whole(&HEADER, &nonce(32), GCM).unwrap();
    // Header and SK, the IV, 36 bytes of text and the padding length, the tag.
    assert_eq!((body, text, bytes.len()), (32, 36, 32 + 8 + 37 + 16));
    assert_eq!(bytes[16], 46, "SK is first");
    assert_eq!(bytes[24..28], [0, 0, 0, 93], "the whole message's length");
    assert_eq!(bytes[28..32], [40, 0, 0, 65], "a Nonce is inside; the payload's length");
    assert_eq!(bytes[32..40], [0; 8], "the cipher writes the IV");
    assert_eq!(bytes[40..44], [0, 0, 0, 36]);
    assert_eq!(bytes[76..], [0; 17], "and padding, its length and the tag");
}

#[test]
fn blocks_are_filled() {
    let laid_out = |chain: &Chain| {
        let Sealing { bytes, body, text } = Sealing::whole(&HEADER, chain, CBC_SHA1).unwrap();
        assert_eq!(body, 32);
        (text, bytes.len() - body - CBC_SHA1.iv - CBC_SHA1.icv)
    };
    // 4 + 32 bytes of chain and the padding length: 11 more make three blocks of 16.
    assert_eq!(laid_out(&nonce(32)), (36, 48));
    // 4 + 27 + 1 are two blocks: nothing to fill.
    assert_eq!(laid_out(&nonce(27)), (31, 32));
    // An empty INFORMATIONAL is one block.
    assert_eq!(laid_out(&Chain::new()), (0, 16));
    let empty = Sealing::whole(&HEADER, &Chain::new(), CBC_SHA1).unwrap();
    assert_eq!(empty.bytes[28], 0, "no payload inside");
}

#[test]
fn fragments_share_the_chain() {
    // 400 bytes of GCM: 28 + 4 + 4 + 8 before the text and 16 after it leave 340, one of them the
    // padding length.
    assert_eq!(fragment_share(GCM, 400), Some(339));
    assert_eq!(fragment_share(CBC_SHA1, 400), Some(335));
    assert_eq!(fragment_share(GCM, 62), Some(1));
    assert_eq!(fragment_share(GCM, 61), None);
    assert_eq!(fragment_share(GCM, 0), None);

    let chain = Chain::from(vec![nonce(256).iter().next().unwrap().clone(); 3]);
    let fragments = Sealing::fragments(&HEADER, &chain, GCM, 400).unwrap();
    assert_eq!(fragments.iter().map(|f| f.bytes.len()).collect::<Vec<_>>(), [400, 400, 163]);
    for (nth, fragment) in fragments.into_iter().enumerate() {
        let message = Message::decode(&fragment.bytes).unwrap();
        assert_eq!(message.header, HEADER);
        let sealed = message.sealed.unwrap();
        assert_eq!(sealed.fragment, FragmentNumber::new(u16::try_from(nth).unwrap() + 1, 3));
        let first = if nth == 0 { PayloadType::Nonce } else { PayloadType::None };
        assert_eq!(sealed.first, first);
    }
    assert!(Sealing::fragments(&HEADER, &chain, GCM, 61).is_err());
    let empty = Sealing::fragments(&HEADER, &Chain::new(), GCM, 400).unwrap();
    assert_eq!(empty.len(), 1);
}

proptest! {
    /// Whatever the cipher, the body is where the decoder finds it, and the text is in it.
    #[test]
    fn what_is_laid_out_is_found(
        header in values::header(),
        chain in values::chain(),
        room in prop::sample::select(vec![GCM, CBC_SHA1, TRIPLE_DES]),
        limit in 80usize..1500,
    ) {
        let (first, text) = chain.encode().unwrap();
        let fragments = Sealing::fragments(&header, &chain, room, limit).unwrap();
        prop_assert!(fragments.iter().all(|fragment| fragment.bytes.len() <= limit));
        let whole = Sealing::whole(&header, &chain, room).unwrap();
        for messages in [vec![whole], fragments] {
            let mut found = Vec::new();
            let mut inside = None;
            for sealing in messages {
                let sealed = Message::decode(&sealing.bytes).unwrap().sealed.unwrap();
                prop_assert_eq!(&sealed.content, &sealing.bytes[sealing.body..]);
                let (_, rest) = sealed.content.split_at(room.iv);
                let (text, filling) = rest[..rest.len() - room.icv].split_at(sealing.text);
                prop_assert!((1..=room.block).contains(&filling.len()));
                prop_assert_eq!((text.len() + filling.len()) % room.block, 0);
                inside.get_or_insert(sealed.first);
                found.extend_from_slice(text);
            }
            prop_assert_eq!(&found, &text);
            prop_assert_eq!(inside, Some(first));
            let back = Chain::decode(first, &found).unwrap();
            prop_assert_eq!(&back, &chain);
        }
    }
}
