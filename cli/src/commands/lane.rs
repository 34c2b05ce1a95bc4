//! `trestle lane …`: what a dispute's lane costs.

use bitcoin::FeeRate;
use serde_json::{Value, json};
use trestle_bridge::lane::{ArityCost, Way};
use trestle_taptree_trace::lane::Arity;

use super::Error;
use crate::args::LaneCostArgs;
use crate::figures::LaneCosts;
use crate::output::Report;

/// What a lane takes with each arity.
pub fn cost(args: &LaneCostArgs) -> Result<Report, Error> {
    let LaneCosts { parameters, rows } = LaneCosts::reckon(&args.arity.0)?;
    let rate = FeeRate::from_sat_per_vb_u32(args.feerate);
    let (turn, delta1) = (u32::from(parameters.turn.value()), parameters.delta1.value());
    let (confirmations, challengers) = (parameters.confirmations, parameters.challengers.len());
    let vb = |way: &Way| way.weight.to_vbytes_ceil();
    let mut lines = vec![
        format!("A lane with K = {confirmations}, T_turn = {turn}, Δ1 = {delta1}, at {} sat/vB; {challengers} challengers.", args.feerate),
        "vB from Contest to Slash, by the heaviest leaf that such a lie can come to:".into(),
        String::new(),
        "arity   rounds   instruction   memory     hash  on chain   txs  turns  blocks  delta2 ≥  signatures  bytes a side  \
         hash, sat  on chain, sat"
            .into(),
    ];
    for row in &rows {
        let mark = if row.arity == Arity::BUILT { '*' } else { ' ' };
        let rounds = row.rounds.map(|rounds| rounds.to_string()).join("+");
        lines.push(format!(
            "{:>4}{mark}  {rounds:>8}  {:>11}  {:>7}  {:>7}  {:>8}  {:>4}  {:>5}  {:>6}  {:>8}  {:>10}  {:>12}  {:>9}  {:>13}",
            row.arity.parts(),
            vb(&row.instruction),
            vb(&row.memory),
            vb(&row.hash),
            vb(&row.on_chain),
            row.on_chain.transactions,
            row.turns,
            row.turns * turn,
            parameters.least_delta2(row.turns),
            row.signatures,
            row.stored(),
            row.hash.price(rate).to_sat(),
            row.on_chain.price(rate).to_sat(),
        ));
    }
    lines.extend([
        String::new(),
        "* is built; the others are reckoned from the same scripts. Instruction, memory and hash are played off chain first; on chain is".into(),
        "everything forced, and the worst case. Blocks are turns × T_turn, after a lane was entered. A side keeps keys and signatures.".into(),
    ]);
    let way =
        |way: &Way| json!({ "vbytes": vb(way), "transactions": way.transactions, "sat": way.price(rate).to_sat() });
    let object = |row: &ArityCost| {
        json!({
            "arity": row.arity.parts(),
            "built": row.arity == Arity::BUILT,
            "rounds": row.rounds,
            "instruction": way(&row.instruction),
            "memory": way(&row.memory),
            "hash": way(&row.hash),
            "on_chain": way(&row.on_chain),
            "turns": row.turns,
            "blocks": row.turns * turn,
            "least_delta2": parameters.least_delta2(row.turns),
            "signatures": row.signatures,
            "operator_key_bytes": row.operator_key_bytes,
            "challenger_key_bytes": row.challenger_key_bytes,
            "stored_bytes": row.stored(),
        })
    };
    let json = json!({
        "confirmations": confirmations,
        "turn": turn,
        "delta1": delta1,
        "feerate": args.feerate,
        "arities": rows.iter().map(object).collect::<Vec<Value>>(),
    });
    Ok(Report { text: lines.join("\n"), json })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Arities;

    #[test]
    fn every_arity_has_a_line_and_an_object_that_say_the_same() {
        let all: Vec<Arity> = (2..=16).filter_map(Arity::new).collect();
        let report = cost(&LaneCostArgs { arity: Arities(all), feerate: 20 }).unwrap();
        let rows = report.json["arities"].as_array().unwrap();
        assert_eq!(rows.len(), 15);
        for row in rows {
            let arity = row["arity"].to_string();
            let line =
                |line: &&str| line.split_whitespace().next().map(|first| first.trim_end_matches('*')) == Some(&arity);
            let line = report.text.lines().find(line).unwrap_or_else(|| panic!("{arity} is not in the table"));
            for value in [&row["hash"]["vbytes"], &row["on_chain"]["sat"], &row["signatures"], &row["stored_bytes"]] {
                let value = value.to_string();
                assert!(line.split_whitespace().any(|word| word == value), "{value}: {line}");
            }
            assert_eq!(row["built"].as_bool(), Some(arity == "4"));
            // Fees and anchors.
            let (on_chain, sat) = (&row["on_chain"], row["on_chain"]["sat"].as_u64().unwrap());
            let [vbytes, transactions] = ["vbytes", "transactions"].map(|name| on_chain[name].as_u64().unwrap());
            assert!(sat.abs_diff(20 * vbytes + 240 * transactions) <= 20, "{on_chain}");
            assert!(row["stored_bytes"].as_u64().unwrap() < 2_000_000);
        }
    }
}
