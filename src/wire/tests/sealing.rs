//! The layout of encrypted messages, against sizes worked out by hand.

use proptest::prelude::*;

use super::values;
use crate::wire::chain::Chain;
use crate::wire::codes::{ExchangeType, PayloadType};
use crate::wire::header::{Flags, Header, MessageId, Version};
use crate::wire::message::Message;
use crate::wire::nonce::Nonce;
use crate::wire::sk::{Fragment, Parts, Room, Sealed, Sealing, fragment_share, strip_padding};
use crate::wire::spi::IkeSpi;

const GCM: Room = Room { iv: 8, block: 1, icv: 16 };
const CBC_SHA1: Room = Room { iv: 16, block: 16, icv: 12 };
const TRIPLE_DES: Room = Room { iv: 8, block: 8, icv: 12 };

const HEADER: Header = Header {
    initiator_spi: IkeSpi(1),
    responder_spi: IkeSpi(2),
    version: Version::V2,
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
    let mut sealing = Sealing::whole(&HEADER, &nonce(32), GCM).unwrap();
    let (aad, Parts { iv, text, icv }) = sealing.parts();
    assert_eq!((aad.len(), iv.len(), text.len(), icv.len()), (32, 8, 37, 16));
    assert_eq!(aad[16], 46, "SK is first");
    assert_eq!(aad[24..28], [0, 0, 0, 93], "the whole message's length");
    assert_eq!(aad[28..32], [40, 0, 0, 65], "a Nonce is inside; the payload's length");
    assert_eq!(text[..4], [0, 0, 0, 36]);
    assert_eq!(text[36], 0, "no padding");
    assert_eq!(sealing.authenticated().0.len(), 77);
}

#[test]
fn blocks_are_filled() {
    // 4 + 32 bytes of chain and the padding length: 11 more make three blocks of 16.
    let mut sealing = Sealing::whole(&HEADER, &nonce(32), CBC_SHA1).unwrap();
    let (_, Parts { iv, text, icv }) = sealing.parts();
    assert_eq!((iv.len(), text.len(), icv.len()), (16, 48, 12));
    assert_eq!(text[36..], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]);
    // 4 + 27 + 1 are two blocks: nothing to fill.
    let mut sealing = Sealing::whole(&HEADER, &nonce(27), CBC_SHA1).unwrap();
    let (_, Parts { text, .. }) = sealing.parts();
    assert_eq!((text.len(), text[31]), (32, 0));
    // An empty INFORMATIONAL is one block.
    let mut sealing = Sealing::whole(&HEADER, &Chain::new(), CBC_SHA1).unwrap();
    assert_eq!(sealing.parts().0[28], 0, "no payload inside");
    assert_eq!(sealing.parts().1.text[15], 15);
}

#[test]
fn fragments_share_the_chain() {
    // 400 bytes of GCM: 28 + 4 + 4 + 8 before the text and 16 after it leave 340, one of them the padding length.
    assert_eq!(fragment_share(GCM, 400), Some(339));
    assert_eq!(fragment_share(CBC_SHA1, 400), Some(335));
    assert_eq!(fragment_share(GCM, 62), Some(1));
    assert_eq!(fragment_share(GCM, 61), None);
    assert_eq!(fragment_share(GCM, 0), None);

    let chain = Chain::from(vec![nonce(256).iter().next().unwrap().clone(); 3]);
    let fragments = Sealing::fragments(&HEADER, &chain, GCM, 400).unwrap();
    assert_eq!(fragments.iter().map(Sealing::len).collect::<Vec<_>>(), [400, 400, 163]);
    for (nth, fragment) in fragments.into_iter().enumerate() {
        let message = Message::decode(&fragment.finish()).unwrap();
        assert_eq!(message.header, HEADER);
        let sealed = message.sealed.unwrap();
        assert_eq!(sealed.fragment, Fragment::new(u16::try_from(nth).unwrap() + 1, 3));
        let first = if nth == 0 { PayloadType::Nonce } else { PayloadType::None };
        assert_eq!(sealed.first, first);
    }
    assert!(Sealing::fragments(&HEADER, &chain, GCM, 61).is_err());
    let empty = Sealing::fragments(&HEADER, &Chain::new(), GCM, 400).unwrap();
    assert_eq!(empty.len(), 1);
}

#[test]
fn padding_is_stripped_by_its_length_alone() {
    assert_eq!(strip_padding(&[1, 2, 3, 0]), Ok(&[1, 2, 3][..]));
    assert_eq!(strip_padding(&[1, 9, 9, 2]), Ok(&[1][..]));
    assert_eq!(strip_padding(&[9, 9, 9, 3]), Ok(&[][..]));
    assert_eq!(
        strip_padding(&[9, 9, 9, 4]).unwrap_err().to_string(),
        "SK payload, pad length at byte 3: needs 4 bytes, 3 are left"
    );
    assert!(strip_padding(&[]).is_err());
}

#[test]
fn content_must_have_room() {
    let sealed = |length| Sealed {
        fragment: None,
        first: PayloadType::Nonce,
        flags: Default::default(),
        content: vec![0; length],
    };
    assert!(sealed(24).parts(GCM).is_err(), "no text");
    assert!(sealed(25).parts(GCM).is_ok());
    assert!(sealed(7).parts(GCM).is_err(), "no IV");
    assert!(sealed(16 + 16 + 12).parts(CBC_SHA1).is_ok());
    assert_eq!(
        sealed(16 + 17 + 12).parts(CBC_SHA1).unwrap_err().to_string(),
        "SK payload, content at byte 0: has 45 bytes, must have whole cipher blocks between IV and ICV"
    );
}

proptest! {
    /// Whatever the cipher, the parts are where the decoder finds them, and the text is the chain.
    #[test]
    fn what_is_laid_out_is_found(
        header in values::header(),
        chain in values::chain(),
        room in prop::sample::select(vec![GCM, CBC_SHA1, TRIPLE_DES]),
        limit in 80usize..1500,
    ) {
        let (first, text) = chain.encode().unwrap();
        let fragments = Sealing::fragments(&header, &chain, room, limit).unwrap();
        prop_assert!(fragments.iter().all(|fragment| fragment.len() <= limit));
        let whole = Sealing::whole(&header, &chain, room).unwrap();
        for messages in [vec![whole], fragments] {
            let mut found = Vec::new();
            let mut inside = None;
            for mut sealing in messages {
                let aad = sealing.parts().0.to_vec();
                let datagram = sealing.finish();
                let mut sealed = Message::decode(&datagram).unwrap().sealed.unwrap();
                prop_assert_eq!(sealed.aad(&datagram), aad);
                inside.get_or_insert(sealed.first);
                found.extend(strip_padding(sealed.parts(room).unwrap().text).unwrap());
            }
            prop_assert_eq!(&found, &text);
            prop_assert_eq!(inside, Some(first));
            let back = Chain::decode(first, &found).unwrap();
            prop_assert_eq!(&back, &chain);
        }
    }
}
