use std::io::Write as _;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::*;
use crate::collect::budget::Budget;
use crate::metrics::Metrics;

const DECODED_MAX: usize = 1 << 20;

fn budget(bytes_max: usize) -> Arc<Budget> {
    Budget::new(bytes_max, Arc::new(Metrics::register(&mut Registry::default())))
}

fn decode(encoding: Encoding, sent: &[u8]) -> Result<Bytes, ApiError> {
    encoding.decode(Bytes::copy_from_slice(sent), DECODED_MAX, &mut budget(1 << 30).share())
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zlib(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn bare_deflate(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn zstd_frame(body: &[u8]) -> Vec<u8> {
    zstd::encode_all(body, 1).unwrap()
}

fn snappy_block(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).unwrap()
}

fn snappy_frames(body: &[u8]) -> Vec<u8> {
    let mut encoder = snap::write::FrameEncoder::new(Vec::new());
    encoder.write_all(body).unwrap();
    encoder.into_inner().unwrap()
}

type Pack = fn(&[u8]) -> Vec<u8>;

const PACKINGS: [(Encoding, Pack); 6] = [
    (Encoding::Gzip, gzip),
    (Encoding::Deflate, zlib),
    (Encoding::Deflate, bare_deflate),
    (Encoding::Zstd, zstd_frame),
    (Encoding::Snappy, snappy_block),
    (Encoding::Snappy, snappy_frames),
];

#[test]
fn every_encoding_unpacks_what_was_packed() {
    for body in [&b"{\"message\":\"hello\"}\n"[..], &b"x".repeat(300_000), b""] {
        for (encoding, pack) in PACKINGS {
            assert_eq!(decode(encoding, &pack(body)).unwrap(), body, "{encoding:?}");
        }
        assert_eq!(decode(Encoding::Identity, body).unwrap(), body);
    }
}

#[test]
fn the_limit_holds_to_the_byte() {
    let fits = vec![b'a'; DECODED_MAX];
    let too_large = vec![b'a'; DECODED_MAX + 1];
    for (encoding, pack) in PACKINGS.into_iter().chain([(Encoding::Identity, (<[u8]>::to_vec) as Pack)]) {
        assert_eq!(decode(encoding, &pack(&fits)).unwrap().len(), DECODED_MAX, "{encoding:?}");
        let error = decode(encoding, &pack(&too_large)).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge, "{encoding:?}");
    }
}

#[test]
fn a_large_body_is_counted_before_it_is_kept() {
    let body: Vec<u8> = (0..KEPT_UNCOUNTED_BYTES_MAX as u32 / 3).flat_map(u32::to_le_bytes).collect();
    assert!(body.len() > KEPT_UNCOUNTED_BYTES_MAX);
    let budget = budget(1 << 30);
    for (encoding, pack) in PACKINGS {
        let packed = Bytes::from(pack(&body));
        let mut share = budget.share();
        let error = encoding.decode(packed.clone(), body.len() - 1, &mut share).unwrap_err();
        assert_eq!(error.code(), Code::TooLarge, "{encoding:?}");
        assert!(budget.taken() <= KEPT_UNCOUNTED_BYTES_MAX, "{encoding:?}");
        drop(share);
        let mut share = budget.share();
        assert_eq!(encoding.decode(packed, body.len(), &mut share).unwrap(), body, "{encoding:?}");
    }
}

#[test]
fn a_bomb_is_refused_with_bounded_memory() {
    // 1 GiB of zeros, made without holding it: one block repeated.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    let block = vec![0; 1 << 20];
    for _ in 0..1024 {
        encoder.write_all(&block).unwrap();
    }
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < 1 << 20, "it would not be a bomb: {}", bomb.len());
    let budget = budget(8 << 20);
    let mut share = budget.share();
    let error = Encoding::Zstd.decode(bomb.into(), DECODED_MAX, &mut share).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
    assert!(budget.taken() <= DECODED_MAX);
    drop(share);
    assert_eq!(budget.taken(), 0);
}

#[test]
fn several_frames_and_skippable_frames_are_one_body() {
    let mut body = Vec::new();
    for (magic, payload) in [(0x184d_2a50_u32, &b"skipped"[..]), (0x184d_2a5f, b"")] {
        body.extend_from_slice(&magic.to_le_bytes());
        body.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        body.extend_from_slice(payload);
        body.extend_from_slice(&zstd_frame(b"{}\n"));
    }
    assert_eq!(decode(Encoding::Zstd, &body).unwrap(), &b"{}\n{}\n"[..]);
    let only_skippable = [&0x184d_2a50_u32.to_le_bytes()[..], &100_000_u32.to_le_bytes(), &[0; 100_000]].concat();
    assert_eq!(decode(Encoding::Zstd, &only_skippable).unwrap(), &b""[..]);
    let twice = [gzip(b"a"), gzip(b"b")].concat();
    assert_eq!(decode(Encoding::Gzip, &twice).unwrap(), &b"ab"[..]);
}

#[test]
fn a_snappy_block_that_lies_about_its_size_allocates_nothing() {
    let lie = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    let budget = budget(1 << 10);
    let error = Encoding::Snappy.decode(Bytes::copy_from_slice(&lie), DECODED_MAX, &mut budget.share()).unwrap_err();
    assert_eq!(error.code(), Code::TooLarge);
}

#[test]
fn a_window_beyond_the_limit_is_refused() {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(ZSTD_WINDOW_LOG_MAX + 1).unwrap();
    encoder.write_all(b"small").unwrap();
    encoder.flush().unwrap();
    let body = encoder.finish().unwrap();
    assert_eq!(decode(Encoding::Zstd, &body).unwrap_err().code(), Code::Malformed);
}

#[test]
fn damaged_bodies_are_malformed() {
    for (encoding, pack) in PACKINGS {
        let whole = pack(&b"some text that is long enough to be cut in the middle of it".repeat(20));
        let cut = &whole[..whole.len() - 3];
        // A bare deflate stream may end with its block complete; all others notice the cut.
        if let Ok(text) = decode(encoding, cut) {
            panic!("{encoding:?} took a cut body: {text:?}");
        }
        assert_eq!(decode(encoding, b"\x01garbage garbage").map_err(|e| e.code()).err(), Some(Code::Malformed));
    }
}

#[test]
fn memory_that_is_short_is_told_as_overload() {
    let body = gzip(&vec![b'a'; 500_000]);
    let budget = budget(100_000);
    let error = Encoding::Gzip.decode(body.into(), DECODED_MAX, &mut budget.share()).unwrap_err();
    assert_eq!(error.code(), Code::Overloaded);
    assert!(error.retry_after().is_some());
    assert_eq!(budget.taken(), 0);
}

#[test]
fn names_of_encodings() {
    let of = |values: &[&str]| {
        let values = values.iter().map(|value| (header::CONTENT_ENCODING, value.parse().unwrap()));
        Encoding::of(&values.collect()).map_err(|error| error.code())
    };
    assert_eq!(of(&[]), Ok(Encoding::Identity));
    assert_eq!(of(&["GZIP"]), Ok(Encoding::Gzip));
    assert_eq!(of(&["identity"]), Ok(Encoding::Identity));
    assert_eq!(of(&["identity, zstd"]), Ok(Encoding::Zstd));
    assert_eq!(of(&[""]), Ok(Encoding::Identity));
    for stacked in [&["gzip, zstd"][..], &["gzip,gzip"], &["gzip", "deflate"], &["br"], &["\u{e9}"]] {
        assert_eq!(of(stacked), Err(Code::UnsupportedEncoding), "{stacked:?}");
    }
}

proptest::proptest! {
    #[test]
    fn random_bytes_never_panic(body in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..512)) {
        for encoding in [Encoding::Gzip, Encoding::Deflate, Encoding::Zstd, Encoding::Snappy] {
            let _ = decode(encoding, &body);
            for magic in [&b"\x1f\x8b\x08\x00"[..], b"\x28\xb5\x2f\xfd", SNAPPY_STREAM, b"\x78\x9c"] {
                let _ = decode(encoding, &[magic, &body].concat());
            }
        }
    }
}
