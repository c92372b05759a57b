//! The public ring document: enough for anyone to compute any user's home, in any language. No peer
//! addresses, no generations.

use serde_json::{Value, json};

use super::view::Ring;

/// The name of the way from a key to its slot: SipHash-1-3, of whose 64 bits the top 16 are the slot.
pub const ALGORITHM: &str = "siphash-1-3/65536";

/// The document that `GET /ring` gives.
///
/// `version` is a number (term * 2^32 + number), `signature` 16 and `ring_key` 32 hexadecimal digits;
/// `holders` is the table run by run from slot 0, `[index, count]`, with index 65535 for slots without
/// holder; `nodes` is ordered by index and includes draining nodes.
pub fn public_document(ring: &Ring) -> Value {
    let nodes: Vec<Value> = ring
        .places
        .live()
        .map(|(index, place)| {
            json!({
                "index": index,
                "id": place.member.id,
                "url": place.member.url,
                "weight": place.member.weight,
                "state": place.member.state.as_str(),
                "slots": place.slots,
            })
        })
        .collect();
    json!({
        "service": ring.service(),
        "version": ring.version().as_u64(),
        "signature": ring.signature().to_string(),
        "ring_key": ring.key().to_string(),
        "algorithm": ALGORITHM,
        "policy": ring.policy().as_str(),
        "nodes": nodes,
        "holders": runs(ring),
    })
}

fn runs(ring: &Ring) -> Vec<Value> {
    ring.holders.chunk_by(|a, b| a == b).map(|run| json!([run[0], run.len()])).collect()
}
