//! Where registers are kept: in memory between blocks, but in values alone within small loops.

use std::collections::HashMap;

use super::region::Region;

/// Instructions of a loop, at most, so that what it changes is stored when it is left and not each time around.
const SMALL: u32 = 64;

/// For each block, the registers, as bits, that may be newer than in memory when it begins.
pub fn newer(region: &Region) -> Vec<u32> {
    let loops = loops(&edges(region));
    let sum = |blocks: &[usize], what: &dyn Fn(usize) -> u32| blocks.iter().map(|block| what(*block)).sum::<u32>();
    let steps = |block: usize| region.blocks.get(block).map_or(0, |block| block.steps());
    let written = |block: usize| region.blocks.get(block).map_or(0, |block| block.written());
    let innermost = |block: usize| {
        let around = loops.iter().filter(|blocks| blocks.contains(&block));
        let smallest = around.min_by_key(|blocks| sum(blocks, &steps))?;
        (sum(smallest, &steps) <= SMALL).then(|| smallest.iter().fold(0, |all, block| all | written(*block)))
    };
    (0..region.blocks.len()).map(|block| innermost(block).unwrap_or(0)).collect()
}

/// Where each block leads to in the region, by numbers.
fn edges(region: &Region) -> Vec<Vec<usize>> {
    let numbers: HashMap<u32, usize> = region.blocks.iter().enumerate().map(|(i, block)| (block.start, i)).collect();
    let number = |start| numbers.get(&start).copied();
    region.blocks.iter().map(|block| block.leads_to(region).into_iter().filter_map(number).collect()).collect()
}

/// The blocks of each loop: those from which its head is reached again without it.
fn loops(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut from = vec![Vec::new(); edges.len()];
    for (block, to) in edges.iter().enumerate() {
        to.iter().for_each(|to| from.get_mut(*to).into_iter().for_each(|from: &mut Vec<usize>| from.push(block)));
    }
    let mut tails: HashMap<usize, Vec<usize>> = HashMap::new();
    for (tail, head) in back_edges(edges) {
        tails.entry(head).or_default().push(tail);
    }
    let body = |(head, tails): (usize, Vec<usize>)| {
        let mut body = vec![head];
        let mut next = tails;
        while let Some(block) = next.pop() {
            if !body.contains(&block) {
                body.push(block);
                next.extend(from.get(block).into_iter().flatten());
            }
        }
        body
    };
    tails.into_iter().map(body).collect()
}

/// The edges that lead back to where a walk from the first block is on its way.
fn back_edges(edges: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let mut found = Vec::new();
    let mut state = vec![0u8; edges.len()]; // not seen, on the way, done
    let mut way = vec![(0, 0)];
    while let Some((block, next)) = way.pop() {
        let Some(state_here) = state.get_mut(block) else { continue };
        *state_here = 1;
        let Some(to) = edges.get(block).and_then(|to| to.get(next)).copied() else {
            *state_here = 2;
            continue;
        };
        way.push((block, next + 1));
        match state.get(to) {
            Some(0) => way.push((to, 0)),
            Some(1) => found.push((block, to)),
            _ => {}
        }
    }
    found
}
