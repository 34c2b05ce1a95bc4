//! The anchor of `machine.run`: ckb-vm, the machine of another chain, whose interpreter is written in assembly.

use std::time::Instant;

use ckb_vm::machine::VERSION2;
use ckb_vm::machine::asm::{AsmCoreMachine, AsmMachine};
use ckb_vm::{DefaultMachineBuilder, DefaultMachineRunner, ISA_B, ISA_IMC, ISA_MOP, SupportMachine};
use trestle_cli::figures::Run;

/// Runs a program in both of its fast modes, with and without fusing pairs of instructions (MOP), and takes the better
/// one; instructions are counted before they are fused.
pub fn run(elf: &[u8]) -> Result<Run, String> {
    let (instructions, seconds) = once(elf, ISA_IMC | ISA_B)?;
    let (_, fused) = once(elf, ISA_IMC | ISA_B | ISA_MOP)?;
    Ok(Run { instructions, seconds: seconds.min(fused) })
}

/// Cycles, of which every instruction takes one, and seconds.
fn once(elf: &[u8], isa: u8) -> Result<(u64, f64), String> {
    let core = <Box<AsmCoreMachine> as SupportMachine>::new(isa, VERSION2, u64::MAX);
    let machine = DefaultMachineBuilder::new(core).instruction_cycle_func(Box::new(|_| 1)).build();
    let mut machine = AsmMachine::new(machine);
    machine.load_program(&elf.to_vec().into(), std::iter::empty()).map_err(|error| error.to_string())?;
    let start = Instant::now();
    let exit = machine.run().map_err(|error| error.to_string())?;
    let seconds = start.elapsed().as_secs_f64();
    if exit != 0 {
        return Err(format!("a program ended with {exit} on ckb-vm"));
    }
    Ok((machine.machine.cycles(), seconds))
}
