//! What `rpc.discover` answers, and docs/openrpc.json is: the interface in the words of OpenRPC.

use serde_json::{Value, json};

/// A method: its name, what it does, its parameters with their types, and what it gives.
type Method = (&'static str, &'static str, &'static [(&'static str, &'static str)], &'static str);

const HEX32: &str = "hex32";
const KEY: &str = "key";
const NUMBER: &str = "number";

const METHODS: [Method; 13] = [
    ("sequencer_status", "How the sequencer stands.", &[], "status"),
    (
        "sequencer_sync",
        "The same, once it has applied the Bitcoin block at this height and done what is due, or after five seconds.",
        &[("bitcoin_height", NUMBER)],
        "status",
    ),
    (
        "sequencer_submit",
        "Takes a signed Layer 2 transaction, in hexadecimal, and gives its id, or says why it is refused.",
        &[("transaction", "hex")],
        HEX32,
    ),
    (
        "sequencer_receipt",
        "What became of a transaction, with the certificate of its block; null if it was never accepted, or was dropped or forgotten.",
        &[("id", HEX32)],
        "receipt",
    ),
    ("sequencer_account", "What an account can still spend, and its next nonce.", &[("account", KEY)], "account"),
    (
        "sequencer_block",
        "The final Layer 2 block at a height; null if it has no transactions, is not final, or is forgotten.",
        &[("height", NUMBER)],
        "block",
    ),
    ("sequencer_batch", "A batch that was cut; null if it was not, or is forgotten.", &[("number", NUMBER)], "batch"),
    (
        "sequencer_handover",
        "What a set of sequencers begins with, certified by the set before; null if that has not closed.",
        &[("set", NUMBER)],
        "handover",
    ),
    ("sequencer_entry", "R_h and what it commits to.", &[("height", NUMBER)], "entry"),
    (
        "sequencer_proof",
        "A proof of an account's balance and nonce against R_h.",
        &[("account", KEY), ("height", NUMBER)],
        "proof",
    ),
    ("sequencer_conflicts", "Evidence that quorums broke their promises.", &[], "conflicts"),
    (
        "sequencer_subscribe_blocks",
        "Over WebSocket: final blocks with transactions, as they get their certificates, as `sequencer_block` shows them.",
        &[],
        "subscription",
    ),
    ("sequencer_unsubscribe_blocks", "Ends a subscription.", &[("subscription", "subscription")], "ended"),
];

/// Objects: the names of their fields and the fields' schemas.
fn object(fields: &[(&str, &str)]) -> Value {
    let properties: serde_json::Map<_, _> =
        fields.iter().map(|(name, of)| ((*name).to_owned(), reference(of))).collect();
    let required: Vec<_> = fields.iter().map(|(name, _)| name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn reference(schema: &str) -> Value {
    match schema.strip_suffix("[]") {
        Some(of) => json!({ "type": "array", "items": reference(of) }),
        None => json!({ "$ref": format!("#/components/schemas/{schema}") }),
    }
}

fn schemas() -> Value {
    const ENTRY: [(&str, &str); 4] =
        [("height", NUMBER), ("block_hash", HEX32), ("state_root", HEX32), ("entry", HEX32)];
    let proof = [("account", KEY), ("balance_sat", NUMBER), ("nonce", NUMBER), ("index", "index"), ("nodes", "hex[]")];
    let status = [
        ("set", NUMBER),
        ("index", "index"),
        ("key", KEY),
        ("bitcoin_height", NUMBER),
        ("entry", HEX32),
        ("height", NUMBER),
        ("batch", NUMBER),
        ("filled", NUMBER),
        ("executed", NUMBER),
        ("waiting", NUMBER),
        ("minimum_fee_sat", NUMBER),
        ("refuses", "flag"),
        ("busy", "flag"),
    ];
    let block = [
        ("set", NUMBER),
        ("height", NUMBER),
        ("batch", NUMBER),
        ("first", NUMBER),
        ("transactions", "hex[]"),
        ("signatures", "signed[]"),
    ];
    let state = |state: &str, fields: &[(&str, &str)]| {
        let mut object = object(fields);
        object["properties"]["state"] = json!({ "const": state });
        object
    };
    let receipts = [
        json!({ "type": "null" }),
        state("pending", &[]),
        state("ordered", &[("block", "block")]),
        state("executed", &[("height", NUMBER), ("deep", "flag"), ("block", "block")]),
        state("failed", &[("why", "text")]),
    ];
    json!({
        "hex": { "type": "string", "pattern": "^([0-9a-f]{2})*$" },
        "hex32": { "type": "string", "pattern": "^[0-9a-f]{64}$" },
        "key": { "title": "an x-only public key (BIP 340)", "type": "string", "pattern": "^[0-9a-f]{64}$" },
        "number": { "type": "integer", "minimum": 0 },
        "index": { "title": "an account's, or a sequencer's in the set; null if it has none", "type": ["integer", "null"] },
        "flag": { "type": "boolean" },
        "text": { "type": "string" },
        "status": object(&status),
        "account": object(&[("account", KEY), ("available_sat", NUMBER), ("next_nonce", NUMBER)]),
        "signed": object(&[("sequencer", NUMBER), ("signature", "hex")]),
        "block": object(&block),
        "batch": object(&[("number", NUMBER), ("transactions", "hex32[]"), ("signatures", "signed[]")]),
        "handover": object(&[("genesis", "hex"), ("pending", "number[]"), ("signatures", "signed[]")]),
        "entry": object(&ENTRY),
        "proof": object(&[&ENTRY[..], &proof].concat()),
        "receipt": { "oneOf": receipts },
        "conflicts": { "type": "array", "items": object(&[("one", "promise"), ("other", "promise")]) },
        "promise": {
            "title": "a part of a batch, byte by byte, or the ids of a batch, with a quorum's signatures",
            "type": "object",
            "oneOf": [{ "required": ["part"] }, { "required": ["batch"] }],
        },
        "subscription": { "type": ["string", "integer"] },
        "ended": { "type": "boolean" },
    })
}

/// The description.
#[must_use]
pub fn document() -> Value {
    let method = |(name, summary, parameters, result): &Method| {
        let parameter =
            |(name, schema): &(&str, &str)| json!({ "name": name, "required": true, "schema": reference(schema) });
        let parameters: Vec<_> = parameters.iter().map(parameter).collect();
        let result = json!({ "name": result, "schema": reference(result) });
        json!({
            "name": name, "summary": summary, "paramStructure": "by-position", "params": parameters, "result": result,
        })
    };
    json!({
        "openrpc": "1.3.2",
        "info": { "title": "A Trestle sequencer", "version": env!("CARGO_PKG_VERSION") },
        "methods": METHODS.iter().map(method).collect::<Vec<_>>(),
        "components": { "schemas": schemas() },
    })
}

#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    METHODS.iter().map(|(name, ..)| *name).collect()
}
