//! States and openings, as they are printed.

use bitcoin::hex::DisplayHex;
use serde_json::{Value, json};
use trestle_rollup::Digest;
use trestle_zkvm_adapter::layout::{HALT_ACCEPT, HALT_REJECT};
use trestle_zkvm_adapter::{Access, Disputable, Opening};

use super::{Judge, RunError};
use crate::args::Questions;
use crate::output::Report;

pub fn hex(digest: &Digest) -> String {
    digest.to_lower_hex_string()
}

/// A state, by its root or its name.
pub fn state(root: &Digest) -> String {
    match *root {
        HALT_ACCEPT => format!("{} (HALT_ACCEPT)", hex(root)),
        HALT_REJECT => format!("{} (HALT_REJECT)", hex(root)),
        _ => hex(root),
    }
}

/// The states and steps that were asked for.
pub fn answers(trace: &mut impl Disputable, questions: &Questions, judge: &Judge) -> Result<Report, RunError> {
    let (mut text, mut json) = (String::new(), json!({}));
    let found = trace.roots(&questions.root_at)?;
    let roots: Vec<_> = questions.root_at.iter().zip(&found).collect();
    for (k, root) in &roots {
        text += &format!("\n{:<8} {}", format!("S_{k}"), state(root));
    }
    json["roots"] = roots.iter().map(|(k, root)| json!({ "step": k, "root": hex(root) })).collect();
    let mut openings = Vec::new();
    for t in &questions.opening_at {
        let opening = trace.opening(*t)?;
        text += &step(&opening, judge);
        openings.push(full(&opening, judge));
    }
    json["openings"] = Value::Array(openings);
    Ok(Report { text, json })
}

/// What is signed about a step, and whether it is so. The paths are for programs.
fn step(opening: &Opening, judge: &Judge) -> String {
    let (roots, words) = (&opening.step.roots, &opening.step.words);
    let t = roots.index;
    let judged = judge.judge(opening).map_or_else(|lie| format!("false: {lie}"), |()| "in order".into());
    let words = [
        ("pc", words.pc),
        ("instruction", words.instruction),
        ("rs1", words.rs1),
        ("rs2", words.rs2),
        ("address", words.address),
        ("value", words.value),
        ("next pc", words.next_pc),
    ];
    let words: String = words.iter().map(|(name, word)| format!("\n  {name:<12} {word:#010x}")).collect();
    format!(
        "\nStep {t}: {:?}, {judged}{words}\n  {:<12} {}\n  {:<12} {}\n  {:<12} {}\n  {:<12} {}",
        judge.class(opening),
        "leaf",
        hex(&opening.step.leaf),
        format!("S_{}", t - 1),
        state(&roots.before),
        "written",
        state(&roots.written),
        format!("S_{t}"),
        state(&roots.after),
    )
}

/// An opening with everything in it.
fn full(opening: &Opening, judge: &Judge) -> Value {
    let (roots, words) = (&opening.step.roots, &opening.step.words);
    let lie = judge.judge(opening).err();
    let paths = Access::ALL.iter().zip(&opening.paths).map(|(access, path)| {
        let nodes = path.iter().map(|node| {
            let new_child = node.new_child.as_ref().map(hex);
            json!({
                "child": hex(&node.child), "new_child": new_child, "sibling": hex(&node.sibling), "right": node.right,
            })
        });
        let name = match access {
            Access::Pc => "pc",
            Access::Code => "code",
            Access::Rs1 => "rs1",
            Access::Rs2 => "rs2",
            Access::Memory => "memory",
            Access::Write => "write",
            Access::WritePc => "write_pc",
        };
        json!({ "access": name, "address": access.address(words), "nodes": nodes.collect::<Vec<_>>() })
    });
    json!({
        "step": roots.index,
        "class": format!("{:?}", judge.class(opening)),
        "lie": lie.map(|lie| lie.to_string()),
        "before": hex(&roots.before), "written": hex(&roots.written), "after": hex(&roots.after),
        "pc": words.pc, "instruction": words.instruction, "rs1": words.rs1, "rs2": words.rs2,
        "address": words.address, "value": words.value, "next_pc": words.next_pc,
        "leaf": hex(&opening.step.leaf),
        "paths": paths.collect::<Vec<_>>(),
    })
}
