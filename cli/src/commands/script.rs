//! `trestle script …`: what Bitcoin Script has to do in a dispute.

use serde_json::{Value, json};
use trestle_taptree_trace::leaf::Family;

use super::Error;
use crate::args::ScriptSizesArgs;
use crate::figures::Sizes;
use crate::output::Report;

/// Every disproof leaf with its size.
pub fn sizes(args: &ScriptSizesArgs) -> Result<Report, Error> {
    let Sizes { gadgets, families, .. } = Sizes::measure(args.confirmations)?;
    let width = families.iter().map(|family| family.name.len()).max().unwrap_or_default();
    let mut lines = vec![
        format!("C(m, b)             {} bytes, at most {} items", gadgets.compress_bytes, gadgets.compress_peak),
        format!(
            "one-time signature  {} WU a byte, {} items a digit",
            gadgets.ots_weight_per_byte, gadgets.ots_items_per_digit
        ),
        String::new(),
        format!("tree   {:<width$}  leaves  script bytes  witness WU  items", "leaf"),
    ];
    lines.extend(families.iter().map(|Family { tree, name, leaves, size, .. }| {
        let tree = tree.name();
        format!("{tree:<5}  {name:<width$}  {leaves:>6}  {:>12}  {:>10}  {:>5}", size.script, size.witness, size.peak)
    }));
    let total: usize = families.iter().map(|family| family.leaves).sum();
    lines.extend([
        String::new(),
        format!(
            "{total} leaves. Of leaves that differ in a round (r.q), a header (n) or a message the largest is shown."
        ),
    ]);
    let leaf = |family: &Family| {
        json!({
            "tree": family.tree.name(),
            "leaf": family.name,
            "leaves": family.leaves,
            "lie": family.lie,
            "script_bytes": family.size.script,
            "witness_weight": family.size.witness,
            "peak_items": family.size.peak,
        })
    };
    let json = json!({
        "compress_bytes": gadgets.compress_bytes,
        "compress_peak": gadgets.compress_peak,
        "ots_weight_per_byte": gadgets.ots_weight_per_byte,
        "ots_items_per_digit": gadgets.ots_items_per_digit,
        "leaves": families.iter().map(leaf).collect::<Vec<Value>>(),
    });
    Ok(Report { text: lines.join("\n"), json })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_docs_is_what_the_command_prints() {
        let table = Family::table(&Sizes::measure(2).unwrap().families);
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/protocol.md");
        let docs = std::fs::read_to_string(docs).unwrap();
        assert!(docs.contains(&table), "docs/protocol.md should have this table:\n{table}");
    }

    #[test]
    fn the_table_has_a_line_for_every_family_and_the_json_an_object() {
        let report = sizes(&ScriptSizesArgs { confirmations: 1 }).unwrap();
        let leaves = report.json["leaves"].as_array().unwrap();
        assert!(leaves.len() > 100);
        for leaf in leaves {
            let name = leaf["leaf"].as_str().unwrap();
            let line = |line: &&str| line.split_whitespace().nth(1) == Some(name);
            let line = report.text.lines().find(line).unwrap_or_else(|| panic!("{name} is not in the table"));
            assert!(line.contains(&leaf["script_bytes"].to_string()) || name == "twice.MESSAGE", "{line}");
            assert!(leaf["peak_items"].as_u64().unwrap() <= 1000);
        }
    }
}
