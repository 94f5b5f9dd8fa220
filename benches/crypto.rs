//! Cryptography beside its bare primitives, in one run: read the ratios, the nanoseconds belong to
//! the machine.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use s2sd::crypto::esp::{OpenKey, SealKey};
use s2sd::crypto::keymat::EspKeys;
use s2sd::crypto::{EspSuite, Group, Provider, Secret, Standard, fake};
use s2sd::sys::random::SystemRng;
use s2sd::wire::codes::{EncrId, EsnId, IntegId};
use s2sd::wire::packet::esp::HEADER_LEN;

/// Azure's inner packet of 1,400 octets, with what ESP pads it to.
const TEXT: usize = 1408;

criterion_group!(benches, esp, exchanges);
criterion_main!(benches);

fn esp(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("esp-1408");
    group.throughput(Throughput::Bytes(TEXT as u64));
    let bare = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("32 octets"));
    let mut text = [0; TEXT];
    let mut number = 0_u64;
    group.bench_function("ring-aes-256-gcm/seal", |bencher| {
        bencher.iter(|| {
            number += 1;
            bare.seal_in_place_separate_tag(nonce(number), Aad::from([0; 8]), &mut text)
                .expect("short")
        });
    });
    group.bench_function("ring-aes-256-gcm/open", |bencher| {
        let mut sealed = [1; TEXT];
        let tag = bare
            .seal_in_place_separate_tag(nonce(1), Aad::from([0; 8]), &mut sealed)
            .expect("short");
        let tag = <[u8; 16]>::try_from(tag.as_ref()).expect("16 octets");
        let mut packet = sealed;
        bencher.iter(|| {
            packet = sealed;
            bare.open_in_place_separate_tag(
                nonce(1),
                Aad::from([0; 8]),
                tag.into(),
                &mut packet,
                0..,
            )
            .is_ok()
        });
    });
    for (name, encr, bits, integ) in [
        ("aes-256-gcm", EncrId::AesGcm16, Some(256), None),
        ("aes-192-gcm", EncrId::AesGcm16, Some(192), None),
        ("aes-128-gcm", EncrId::AesGcm16, Some(128), None),
        ("chacha20-poly1305", EncrId::ChaCha20Poly1305, None, None),
        ("aes-256-cbc-sha256", EncrId::AesCbc, Some(256), Some(IntegId::HmacSha2_256_128)),
        ("aes-256-cbc-sha1", EncrId::AesCbc, Some(256), Some(IntegId::HmacSha1_96)),
        ("null-sha256", EncrId::Null, None, Some(IntegId::HmacSha2_256_128)),
    ] {
        let suite = EspSuite::from_transforms(encr, bits, integ, None, EsnId::Sequence32)
            .expect("supported");
        let keys = EspKeys {
            encryption: Secret::copy_of(&vec![7; suite.protection.encryption_key_len()]),
            integrity: Secret::copy_of(&vec![9; suite.protection.integrity_key_len()]),
        };
        let seal = Standard::default().esp_seal_key(&suite, &keys).expect("right lengths");
        let open = Standard::default().esp_open_key(&suite, &keys).expect("right lengths");
        both(&mut group, name, &seal, &open);
        if encr == EncrId::AesGcm16 && bits == Some(256) {
            let (seal, open) = fake::null_cipher(&suite);
            both(&mut group, "no-cipher", &seal, &open);
        }
    }
    group.finish();
}

fn both(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    seal: &SealKey,
    open: &OpenKey,
) {
    let layout = seal.layout();
    let mut packet = vec![0; HEADER_LEN + layout.iv + TEXT + layout.icv];
    let mut number = 0;
    group.bench_function(format!("{name}/seal"), |bencher| {
        bencher.iter(|| {
            number += 1;
            seal.seal(number, &mut packet)
        });
    });
    seal.seal(1, &mut packet).expect("laid out");
    let sealed = packet.clone();
    group.bench_function(format!("{name}/open"), |bencher| {
        bencher.iter(|| {
            packet.copy_from_slice(&sealed);
            open.open(1, &mut packet).is_ok()
        });
    });
}

fn exchanges(criterion: &mut Criterion) {
    let provider = Standard::default();
    let mut rng = SystemRng::default();
    let mut bench = criterion.benchmark_group("key-exchange");
    bench.sample_size(20);
    for group in Group::ALL {
        bench.bench_function(format!("{}/start", group.id()), |bencher| {
            bencher.iter(|| provider.start_exchange(group, &mut rng));
        });
        let peer = provider.start_exchange(group, &mut rng);
        bench.bench_function(format!("{}/agree", group.id()), |bencher| {
            bencher.iter_batched(
                || provider.start_exchange(group, &mut SystemRng::default()),
                |ours| ours.agree(peer.public_value()),
                BatchSize::SmallInput,
            );
        });
    }
    let peer = fake::Fake.start_exchange(Group::Ecp384, &mut rng);
    bench.bench_function("fake ECP_384/start and agree", |bencher| {
        bencher
            .iter(|| fake::Fake.start_exchange(Group::Ecp384, &mut rng).agree(peer.public_value()));
    });
    bench.finish();
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
