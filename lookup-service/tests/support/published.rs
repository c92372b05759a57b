//! The ring computed from its public document alone, as a client in another language would.

use serde_json::Value;

/// The document, read.
pub struct Published {
    pub version: u64,
    pub signature: String,
    key: (u64, u64),
    /// The node's id for each slot.
    holders: Vec<String>,
}

impl Published {
    pub fn read(document: &Value) -> Self {
        let key = u128::from_str_radix(document["ring_key"].as_str().unwrap(), 16).unwrap().to_be_bytes();
        let half = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
        let name = |index: u64| {
            let node = document["nodes"].as_array().unwrap().iter().find(|node| node["index"] == index);
            node.map_or(String::new(), |node| node["id"].as_str().unwrap().to_owned())
        };
        let runs = document["holders"].as_array().unwrap().iter();
        let holders = runs.flat_map(|run| {
            let (index, count) = (run[0].as_u64().unwrap(), run[1].as_u64().unwrap());
            std::iter::repeat_n(name(index), count as usize)
        });
        Self {
            version: document["version"].as_u64().unwrap(),
            signature: document["signature"].as_str().unwrap().to_owned(),
            key: (half(&key[..8]), half(&key[8..])),
            holders: holders.collect(),
        }
    }

    /// The node of a user: clockwise from their slot, the first that is not among `avoid`.
    pub fn home(&self, user: &str, avoid: &[&str]) -> &str {
        assert_eq!(self.holders.len(), 65_536);
        let first = (siphash13(self.key, format!("u:{user}").as_bytes()) >> 48) as usize;
        let mut clockwise = self.holders[first..].iter().chain(&self.holders[..first]);
        clockwise.find(|id| !avoid.contains(&id.as_str())).unwrap()
    }
}

/// SipHash-1-3 from the paper (Aumasson and Bernstein, 2012), so that the library that the ring uses is checked too.
fn siphash13((k0, k1): (u64, u64), data: &[u8]) -> u64 {
    let mut v = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let mut last = [0; 8];
    let rest = data.chunks_exact(8).remainder();
    last[..rest.len()].copy_from_slice(rest);
    last[7] = data.len() as u8;
    for word in data.chunks_exact(8).chain([&last[..]]) {
        let word = u64::from_le_bytes(word.try_into().unwrap());
        v[3] ^= word;
        round(&mut v);
        v[0] ^= word;
    }
    v[2] ^= 0xff;
    (0..3).for_each(|_| round(&mut v));
    v[0] ^ v[1] ^ v[2] ^ v[3]
}

fn round([a, b, c, d]: &mut [u64; 4]) {
    *a = a.wrapping_add(*b);
    *b = b.rotate_left(13) ^ *a;
    *a = a.rotate_left(32);
    *c = c.wrapping_add(*d);
    *d = d.rotate_left(16) ^ *c;
    *a = a.wrapping_add(*d);
    *d = d.rotate_left(21) ^ *a;
    *c = c.wrapping_add(*b);
    *b = b.rotate_left(17) ^ *c;
    *c = c.rotate_left(32);
}
