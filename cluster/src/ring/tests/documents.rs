//! The public document, and records: what is sealed opens again, and nothing else does.

use serde_json::{Value, json};

use super::super::{Head, RECORD_BYTES_MAX, Record, RecordError, Signature, Version, public_document};
use super::*;

fn open(bytes: &[u8]) -> Result<Ring, RecordError> {
    Record::open(bytes, "default", &[RecordKey::new([1; 32]), record_key()])
}

fn code(bytes: &[u8]) -> &'static str {
    open(bytes).unwrap_err().code()
}

/// A ring with an active, a draining and a vacated index.
fn sample() -> Ring {
    ring_of(&[("a \"quoted\" \\ id", 100), ("b", 100), ("grüße", 200)]).drain("b").leave(&["grüße"])
}

/// The record of `sample` with its body edited and signed again: what a faulty process of ours could write.
fn resealed(edit: impl FnOnce(&mut Value)) -> Vec<u8> {
    let record = Record::seal(&sample(), &record_key());
    let text = str::from_utf8(record.as_bytes()).unwrap();
    let (header, body) = text.split_once('\n').unwrap();
    let mut body: Value = serde_json::from_str(body).unwrap();
    edit(&mut body);
    let head = header.rsplit_once(' ').unwrap().0;
    let body = body.to_string();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &[7; 32]);
    let mac = aws_lc_rs::hmac::sign(&key, format!("{head}\n{body}").as_bytes());
    let mac: String = mac.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{head} {mac}\n{body}").into_bytes()
}

#[test]
fn what_is_sealed_opens_again() {
    for ring in [genesis(), sample(), sample().with_term(9), ring_of(&[("a", 1), ("b", u32::MAX)])] {
        let record = Record::seal(&ring, &record_key());
        assert_eq!(open(record.as_bytes()).unwrap(), ring);
        let Head { version, signature, .. } = Record::head(record.as_bytes()).unwrap();
        assert_eq!((version, signature), (ring.version(), ring.signature()));
    }
}

#[test]
fn heads_tell_records_apart() {
    let head = |ring: &Ring| Record::head(Record::seal(ring, &record_key()).as_bytes());
    let ring = sample();
    assert_eq!(head(&ring), head(&ring));
    assert_ne!(head(&ring), head(&ring.with_term(2)));
    let again = ring.join(Member { generation: 2, ..ring.members().next().unwrap().clone() }).unwrap();
    assert_ne!(head(&ring), head(&again));
}

#[test]
fn every_flipped_byte_is_noticed() {
    let record = Record::seal(&ring_of(&[("a", 100)]), &record_key());
    let bytes = record.as_bytes();
    let header = bytes.iter().position(|byte| *byte == b'\n').unwrap();
    for at in (0..header + 300).chain([bytes.len() - 1]) {
        let mut bytes = bytes.to_vec();
        bytes[at] ^= 1;
        assert!(open(&bytes).is_err(), "byte {at}");
    }
    assert!(open(&bytes[..bytes.len() - 1]).is_err());
    assert!(open(&[bytes, b" "].concat()).is_err());
}

#[test]
fn records_of_strangers_are_refused() {
    let record = Record::seal(&sample(), &record_key());
    let bytes = record.as_bytes();
    let with = |keys: &[RecordKey], service| Record::open(bytes, service, keys).unwrap_err().code();
    assert_eq!(with(&[RecordKey::new([1; 32])], "default"), "record_unsigned");
    assert_eq!(with(&[], "default"), "record_unsigned");
    assert_eq!(with(&[record_key()], "dc"), "record_wrong_service");
    assert_eq!(code(&vec![b' '; RECORD_BYTES_MAX + 1]), "record_too_large");
    for bytes in [&b""[..], b"\n", b"{}", b"ringdial-ring/2 default 1 0 0\n{}", &[0xff; 300], &[b'x'; 300]] {
        assert_eq!(code(bytes), "record_malformed");
        assert_eq!(Record::head(bytes), None);
    }
    // Another service's record under this service's name.
    let renamed = String::from_utf8(bytes.to_vec()).unwrap().replacen(" default ", " dc ", 1);
    assert_eq!(
        Record::open(renamed.as_bytes(), "dc", &[record_key()]).unwrap_err().code(),
        "record_unsigned"
    );
}

#[test]
fn signed_nonsense_is_refused() {
    assert!(open(&resealed(|_| {})).is_ok());
    assert!(open(&resealed(|body| body["later"] = json!("field"))).is_ok());
    let refused = |expected: &str, path: &str, value: Value| {
        let record = resealed(|body| *body.pointer_mut(path).unwrap() = value.clone());
        assert_eq!(code(&record), expected, "{path} = {value}");
    };
    for (path, value) in [
        ("/service", json!("dc")),
        ("/version", json!(1)),
        ("/signature", json!("0000000000000000")),
        ("/ring_key", json!("00")),
        ("/index/0/id", json!("")),
        ("/index/0/id", json!("a\u{0}")),
        ("/index/0/id", json!("b")),
        ("/index/0/url", json!("http://a")),
        ("/index/0/peer", json!("a")),
        ("/index/0/weight", json!(0)),
        ("/index/2/id", json!("x".repeat(257))),
        ("/holders", json!("!")),
        ("/holders", json!("AAA=")),
    ] {
        refused("record_inconsistent", path, value);
    }
    for (path, value) in [
        ("/version", json!(-1)),
        ("/signature", json!("x")),
        ("/policy", json!("random")),
        ("/log_generation", json!("1")),
        ("/index/0/weight", json!(4_294_967_296u64)),
        ("/index/0/generation", json!(1.5)),
        ("/index", json!({})),
        ("/index/1/state", json!("other")),
        ("/holders", json!([])),
    ] {
        refused("record_body_invalid", path, value);
    }
    refused("record_checksum", "/ring_key", json!("000102030405060708090a0b0c0d0eff"));
}

#[test]
fn tables_that_name_nobody_are_refused() {
    let swapped = |from: u16, to: u16| {
        let mut ring = sample();
        for holder in std::sync::Arc::make_mut(&mut ring.holders).iter_mut().filter(|holder| **holder == from)
        {
            *holder = to;
        }
        let signature = super::super::view::signature(ring.key(), &ring.holders);
        Record::seal(&Ring { signature, ..ring }, &record_key())
    };
    assert!(open(swapped(0, 0).as_bytes()).is_ok());
    // The draining one, a vacated index, one that does not exist, nobody.
    for to in [1, 2, 3, u16::MAX] {
        assert_eq!(code(swapped(0, to).as_bytes()), "record_inconsistent", "{to}");
    }
    let ring = Ring { signature: Signature::new(7), ..sample() };
    assert_eq!(code(Record::seal(&ring, &record_key()).as_bytes()), "record_checksum");
    let ring = Ring { version: Version { term: 0, number: 1 }, ..sample() };
    assert_eq!(code(Record::seal(&ring, &record_key()).as_bytes()), "record_inconsistent");
}

#[test]
fn records_stay_within_the_size_that_join_reckons_with() {
    let ring = sample();
    let record = Record::seal(&ring, &record_key());
    let reckoned = super::super::body::bytes_at_most(&ring);
    assert!(record.as_bytes().len() <= reckoned, "{} > {reckoned}", record.as_bytes().len());
    assert!(reckoned - record.as_bytes().len() < 1_000);
}

#[test]
fn record_keys_are_not_shown() {
    assert_eq!(format!("{:?}", RecordKey::new([7; 32])), "RecordKey(..)");
}

#[test]
fn public_document_is_enough_to_find_a_home_and_says_no_more() {
    let ring = sample();
    let document = public_document(&ring);
    assert_eq!(document["service"], "default");
    assert_eq!(document["version"], ring.version().as_u64());
    assert_eq!(document["signature"], ring.signature().to_string());
    assert_eq!(document["ring_key"], "000102030405060708090a0b0c0d0e0f");
    assert_eq!(document["algorithm"], "siphash-1-3/65536");
    assert_eq!(document["policy"], "balanced");
    let node = json!({
        "index": 1, "id": "b", "url": "wss://node.example.com/ws", "weight": 100, "state": "draining", "slots": 0,
    });
    assert_eq!(document["nodes"][1], node);
    assert_eq!(document["nodes"].as_array().unwrap().len(), 2);
    let runs: Vec<(u16, usize)> = serde_json::from_value(document["holders"].clone()).unwrap();
    let table: Vec<u16> = runs.into_iter().flat_map(|(index, count)| vec![index; count]).collect();
    assert!(slots().all(|slot| table[slot.index()] == ring.holders[slot.index()]) && table.len() == SLOTS);
    assert_eq!(public_document(&genesis())["holders"], json!([[65_535, 65_536]]));
}
